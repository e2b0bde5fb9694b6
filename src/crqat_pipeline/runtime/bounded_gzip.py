"""Gzip of unknown origin: what it unfolds to is bounded, and is not in memory before that is known."""

from __future__ import annotations

import gzip
from pathlib import Path

GZIP_MAGIC = b"\x1f\x8b"
MAX_GROWTH, SPARE_BYTES = 200, 256 * 2**20
"""JSON of annotations and detections shrinks to a tenth, of repeated records to a fiftieth; a bomb to a thousandth."""
BLOCK_BYTES = 2**20


class GzipTooLargeError(ValueError):
    """It unfolds to far more than a text would; the message is one sentence and names the file."""


class BoundedGzip(gzip.GzipFile):
    """A gzip file for reading. Raises GzipTooLargeError once more comes out of it than MAX_GROWTH times its size."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")
        self._path, self._size = path, path.stat().st_size
        self._left = MAX_GROWTH * self._size + SPARE_BYTES

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size >= 0:
            return self._counted(super().read(size))
        blocks = []
        while block := self.read(BLOCK_BYTES):
            blocks.append(block)
        return b"".join(blocks)

    def read1(self, size: int = -1) -> bytes:
        return self._counted(super().read1(size))

    def _counted(self, block: bytes) -> bytes:
        self._left -= len(block)
        if self._left < 0:
            raise GzipTooLargeError(
                f"{self._path} has {self._size:,} bytes of gzip, which unfold to more than {MAX_GROWTH} times as much; "
                "no such file of text does. Get it from where it was made."
            )
        return block


def unfolded(path: Path) -> bytes:
    """All that is in a gzip file. Raises GzipTooLargeError, and what `gzip.decompress` raises for a damaged one."""
    with BoundedGzip(path) as file:
        return file.read()
