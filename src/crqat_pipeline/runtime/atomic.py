"""Files appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Write to the yielded temporary path; it replaces `target` when the block ends without an error.

    Raises OSError naming `target` when the disk is full; the old file is then still whole.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # some writers make files that only their owner can read
        os.replace(temporary, target)
    except OSError as error:
        raise OSError(
            error.errno,
            f"Could not write {target}: {error.strerror}. Free space or choose another data_root.",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
