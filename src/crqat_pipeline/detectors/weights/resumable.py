"""Download a file in blocks, going on where an earlier attempt stopped."""

from __future__ import annotations

from pathlib import Path

from crqat_pipeline.runtime.progress import progress

BLOCK_BYTES = 8 * 2**20


def fetch_resumable(url: str, partial: Path) -> None:
    """Fill `partial` with the content of `url`; bytes that are already there are not fetched again.

    A server that gives no size or no byte ranges sends everything in one go. Raises what fsspec raises, and OSError
    when the content ends early.
    """
    import fsspec  # type: ignore[import-untyped]

    files = fsspec.filesystem("https")
    info = files.info(url)
    size = info.get("size")
    if not size or info.get("partial") is False:
        partial.unlink(missing_ok=True)
        files.get_file(url, str(partial))
        return
    if partial.is_file() and partial.stat().st_size > size:
        partial.unlink()
    start = partial.stat().st_size if partial.is_file() else 0
    with partial.open("ab") as file:
        for offset in progress(range(start, size, BLOCK_BYTES), partial.stem, unit="block"):
            stop = min(offset + BLOCK_BYTES, size)
            block = files.cat_file(url, start=offset, end=stop)
            if len(block) == size:  # the server ignored the range
                file.truncate(0)
                file.write(block)
                return
            if len(block) != stop - offset:
                raise OSError(f"the server sent {len(block)} bytes instead of {stop - offset} at offset {offset}.")
            file.write(block)
