"""JSON as this project writes it: no NaN (null instead), stable order, one clear error for a broken file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kedro.io import DatasetError


def finite(value: Any) -> Any:
    """The same tree with null for numbers that JSON cannot hold."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def parse(text: str, path: Path, what: str) -> Any:
    """The JSON value; raises DatasetError that names the file and the position of the fault."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{what} must be JSON; {path} is not: {error.msg} at line {error.lineno}, column {error.colno}. "
            "Give another file, or make this one again."
        ) from error


def read(path: Path, what: str) -> Any:
    """Parse the file; bytes that are not UTF-8 text count as not JSON."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{what} must be JSON text in UTF-8; {path} is not: {error.reason} at byte {error.start}."
        ) from error
    return parse(text, path, what)
