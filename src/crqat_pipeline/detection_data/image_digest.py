"""One digest of the image files of a split: other pixels give another one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path

from crqat_pipeline.detection_data.image_folder import ImageFolder

READ_WHOLE = 20_000
"""Of so many images every byte is read; of more, the sizes of all files and the bytes of so many, evenly spaced."""

READERS = 8
NAMES_PER_TASK = 256
KNOWN = 65_536


@lru_cache(maxsize=KNOWN)
def _content(path: Path, num_bytes: int, changed_ns: int) -> bytes:
    """sha256 of a file; read once per process, unless its size or time of change is another one."""
    return hashlib.sha256(path.read_bytes()).digest()


def _facts_of_all(images: ImageFolder, names: Sequence[str], *, with_content: bool) -> bytes:
    return b"".join(_facts_of(images, name, with_content) for name in names)


def _facts_of(images: ImageFolder, name: str, with_content: bool) -> bytes:
    path = images.locate(name)
    try:
        stat = path.stat()
        return _content(path, stat.st_size, stat.st_mtime_ns) if with_content else stat.st_size.to_bytes(8, "big")
    except OSError:
        images.open(name).close()  # raises ImageFileError, which says more
        raise


def image_digest(images: ImageFolder, names: Sequence[str]) -> str:
    """sha256 over the files with these names, in their order. Raises ImageFileError for one that is not there."""
    whole = hashlib.sha256(f"{len(names)}\0".encode())
    step = -(-len(names) // READ_WHOLE)
    looks = [(names, False), (names[::step], True)] if step > 1 else [(names, True)]
    with ThreadPoolExecutor(READERS) as pool:
        for chosen, with_content in looks:
            parts = [chosen[first : first + NAMES_PER_TASK] for first in range(0, len(chosen), NAMES_PER_TASK)]
            for facts in pool.map(partial(_facts_of_all, images, with_content=with_content), parts):
                whole.update(facts)
    return whole.hexdigest()
