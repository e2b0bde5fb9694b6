"""A JSON file as tools write it: gzipped or not, with or without a byte order mark; one sentence for a broken one."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crqat_pipeline.runtime.bounded_gzip import GZIP_MAGIC, GzipTooLargeError, unfolded


class JsonFileError(ValueError):
    """A file that is missing, damaged, or no JSON; the text names it and says where the fault is."""


def read_json_file(
    path: str | Path, what: str = "A file", object_hook: Callable[[dict[str, Any]], Any] | None = None
) -> Any:
    """The value of a JSON file in UTF-8, UTF-16 or UTF-32, gzipped or not, whatever its name says.

    what: names the kind of file in errors. object_hook: as in `json.loads`. Raises JsonFileError.
    """
    path = Path(path)
    text = _text(_bytes(path, what), path, what)
    try:
        return json.loads(text, object_hook=object_hook)
    except json.JSONDecodeError as error:
        raise JsonFileError(
            f"{what} must be JSON; {path} is not: {error.msg} at line {error.lineno}, column {error.colno}. "
            "Give another file, or write this one again."
        ) from error
    except RecursionError as error:
        raise JsonFileError(
            f"{what} must be plain JSON; {path} nests lists or objects deeper than can be read. Write it again."
        ) from error
    except ValueError as error:  # an integer of thousands of digits
        raise JsonFileError(f"{what} must be JSON with ordinary numbers; {path} is not: {error}.") from error


def _bytes(path: Path, what: str) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise JsonFileError(f"{what} must exist; {path} does not exist. Check the path.") from error
    except OSError as error:
        raise JsonFileError(f"{what} must be readable; {path} is not: {error.strerror or error}.") from error
    if not content.startswith(GZIP_MAGIC):
        return content
    try:
        return unfolded(path)
    except GzipTooLargeError as error:
        raise JsonFileError(f"{what} must be of a plausible size: {error}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise JsonFileError(
            f"{what} must be whole; {path} is damaged: its gzip data ends in {error}. Copy it again."
        ) from error


def _text(content: bytes, path: Path, what: str) -> str:
    try:
        return content.decode(json.detect_encoding(content))
    except UnicodeDecodeError as error:
        raise JsonFileError(
            f"{what} must be JSON text in UTF-8; {path} is not: {error.reason} at byte {error.start}."
        ) from error
