"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

WAYS_OUT = {
    errno.ENOSPC: "Free space",
    errno.EDQUOT: "Free space",
    errno.EISDIR: "Name a file",
    errno.EEXIST: "A part of its path is a file: name a folder",
    errno.ENOTDIR: "A part of its path is a file: name a folder",
    errno.ENAMETOOLONG: "Shorten its name",
}


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


class CouldNotWriteError(OSError):
    """Which file could not be written, why, and what to do; the number of the system stays in errno alone."""

    def __str__(self) -> str:
        return str(self.strerror)


def check_writable(target: str | Path, sources: Iterable[str | Path] = ()) -> None:
    """Raises CouldNotWriteError for a file that cannot be written, before the work that would be for nothing.

    ValueError for one that is among the sources of that work. Nothing is left behind, and a folder that is not there is
    not made: `atomic_path` makes it.
    """
    target = Path(target)
    for source in map(Path, sources):
        if target.exists() and source.exists() and target.samefile(source):
            raise ValueError(
                f"A result does not take the place of its source; got {source} for both. Name another file."
            )
    folder = next(folder for folder in target.absolute().parents if os.path.lexists(folder))
    trial = _beside(folder / target.name)
    try:
        if target.is_dir():
            raise OSError(errno.EISDIR, "it is a folder")
        if not folder.is_dir():
            raise OSError(errno.ENOTDIR, f"{folder} is no folder")
        trial.touch()
    except OSError as error:
        raise _could_not_write(target, error) from error
    finally:
        _remove(trial)


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Write to the yielded temporary path; it replaces `target` when the block ends without an error.

    A link is replaced, not followed. Raises CouldNotWriteError naming `target` when the disk is full or the place
    cannot be written; the old file is then still whole.
    """
    target = Path(target)
    temporary = _beside(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # some writers make files that only their owner can read
        os.replace(temporary, target)
    except CouldNotWriteError:
        raise
    except OSError as error:
        raise _could_not_write(target, error) from error
    finally:
        _remove(temporary)


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.tmp")


def _remove(temporary: Path) -> None:
    with suppress(OSError):  # in a place that cannot be written nothing was made
        temporary.unlink(missing_ok=True)


def _could_not_write(target: Path, error: OSError) -> CouldNotWriteError:
    way_out = WAYS_OUT.get(error.errno or 0, "Make its folder writable")
    return CouldNotWriteError(
        error.errno,
        f"Could not write {target}: {error.strerror or error}. {way_out}, or choose another place (data_root, --out).",
    )
