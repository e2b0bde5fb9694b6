"""One process at a time in a folder, without a file that stays behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no flock
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked_folder(folder: Path, *, waits: bool) -> Iterator[bool]:
    """Holds the folder until the block ends; the system lets go when the process dies, however it dies.

    Yields False where the file system or the platform has no such locks: the caller must then manage without. Raises
    BlockingIOError at once if another process holds it and waits is False; OSError if the folder cannot be opened.
    """
    if fcntl is None:
        yield False
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # network file systems without locks
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
