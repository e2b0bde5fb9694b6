"""The digest of a JSON document that may be too large to be one text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

RECORDS_PER_TEXT = 10_000


def json_digest(document: Mapping[str, Any]) -> str:
    """sha256 of `json.dumps(document, sort_keys=True)`, made piece by piece."""
    whole = hashlib.sha256()
    for piece in _pieces(document):
        whole.update(piece.encode())
    return whole.hexdigest()


def _pieces(document: Mapping[str, Any]) -> Iterator[str]:
    yield "{"
    for position, key in enumerate(sorted(document)):
        yield f"{', ' if position else ''}{json.dumps(key)}: "
        value = document[key]
        if isinstance(value, Sequence) and not isinstance(value, str) and value:
            yield "["
            for first in range(0, len(value), RECORDS_PER_TEXT):
                text = json.dumps(value[first : first + RECORDS_PER_TEXT], sort_keys=True)[1:-1]
                yield f", {text}" if first else text
            yield "]"
        else:
            yield json.dumps(value, sort_keys=True)
    yield "}"
