"""Write rendered images once: resumes after an interruption, renders damaged files again."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from PIL import Image

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.runtime.progress import progress

Render = Callable[[str], Image.Image]

CHECKSUM_FILE = "checksums.json"
JPEG_QUALITY = 95
SECONDS_BETWEEN_SAVES = 5.0
NAMES_PER_TASK = 32


def _encode(image: Image.Image, suffix: str) -> bytes:
    """JPEG at quality 95 without chroma subsampling, or PNG."""
    buffer = io.BytesIO()
    if suffix in {".jpg", ".jpeg"}:
        image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    elif suffix == ".png":
        image.save(buffer, "PNG")
    else:
        raise ValueError(f"Images are written as .jpg or .png; got the suffix {suffix!r}.")
    return buffer.getvalue()


def _write_one(folder: Path, render: Render, name: str) -> tuple[str, str]:
    """Render and write one image; returns its name and sha256."""
    path = ImageFolder(folder).path(name)
    content = _encode(render(name), path.suffix.lower())
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return name, hashlib.sha256(content).hexdigest()


def _read_checksums(path: Path, fingerprint: str) -> dict[str, str]:
    """Checksums by name; empty if the file is absent, damaged, or of another fingerprint."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        same = record["fingerprint"] == fingerprint
        return {str(name): str(checksum) for name, checksum in record["sha256"].items()} if same else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _is_intact(folder: Path, name: str, checksums: dict[str, str]) -> bool:
    if name not in checksums:
        return False
    try:
        return hashlib.sha256((folder / name).read_bytes()).hexdigest() == checksums[name]
    except OSError:
        return False


def _written(folder: Path, names: Sequence[str], render: Render, workers: int) -> Iterator[tuple[str, str]]:
    """Write all names; yields name and checksum in order."""
    write = partial(_write_one, folder, render)
    if workers < 2:
        yield from map(write, names)
        return
    with ProcessPoolExecutor(workers) as pool:
        try:
            yield from pool.map(write, names, chunksize=NAMES_PER_TASK)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def write_images(
    folder: str | Path, names: Sequence[str], render: Render, workers: int = 2, *, fingerprint: str = ""
) -> int:
    """Write render(name) to folder/name for every name; returns how many had to be rendered.

    Files that are present and match `checksums.json` in the folder are kept; missing and damaged ones are
    rendered. A fingerprint (what the pixels depend on) other than the recorded one renders all again.
    `render` must be picklable if workers > 1. Raises OSError naming the file when the disk is full; what was
    written until then is kept and found by the next call.
    """
    folder = Path(folder)
    checksum_path = folder / CHECKSUM_FILE
    checksums = _read_checksums(checksum_path, fingerprint)

    def save() -> None:
        with atomic_path(checksum_path) as temporary:
            record = {"fingerprint": fingerprint, "sha256": dict(sorted(checksums.items()))}
            temporary.write_text(json.dumps(record, indent=0), encoding="utf-8")

    missing = [name for name in names if not _is_intact(folder, name, checksums)]
    if not missing:
        return 0
    last_save = time.monotonic()
    try:
        written = _written(folder, missing, render, workers)
        for name, checksum in progress(written, f"images to {folder.name}", len(missing), "img"):
            checksums[name] = checksum
            if time.monotonic() - last_save > SECONDS_BETWEEN_SAVES:
                save()
                last_save = time.monotonic()
    except BaseException:
        with suppress(OSError):
            save()
        raise
    save()
    return len(missing)
