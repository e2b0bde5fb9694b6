"""Whatever is wrong with a model file is told with the file's name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """ValueErrors of the block name the file; running out of memory or of stack over a file is one, too."""
    try:
        yield
    except ValueError as error:
        if path.name in str(error):
            raise
        raise ValueError(f"{path}: {error}") from error
    except (RecursionError, MemoryError) as error:
        raise ValueError(f"{path} cannot be opened: {type(error).__name__}. It was damaged; copy it again.") from error
