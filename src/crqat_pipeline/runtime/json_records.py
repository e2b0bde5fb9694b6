"""The records of one list in a large JSON object, one at a time: a file of 450 MB would take gigabytes as a whole."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TextIO

CHUNK_CHARACTERS = 2**20
_BETWEEN = re.compile(r"[\s,]*")


def list_records(stream: TextIO, key: str) -> Iterator[Any]:
    """Items, objects or lists, of the list that the object in `stream` holds under `key`, as far as they are asked for.

    The key is looked for as text, so it must not occur inside what stands before it. Raises ValueError for a stream
    without such a list, or that ends inside it.
    """
    decoder, opening = json.JSONDecoder(), re.compile(rf'"{re.escape(key)}"\s*:\s*\[')
    text = ""
    while (found := opening.search(text)) is None:
        more = stream.read(CHUNK_CHARACTERS)
        if not more:
            raise ValueError(f"There is no list {key!r} in this JSON.")
        text = text[-len(key) - 64 :] + more
    text, position = text[found.end() :], 0
    while True:
        between = _BETWEEN.match(text, position)
        position = between.end() if between else position
        if text[position : position + 1] == "]":
            return
        try:
            record, position = decoder.raw_decode(text, position)
            yield record
        except json.JSONDecodeError:
            more = stream.read(CHUNK_CHARACTERS)
            if not more:
                raise ValueError(f"The list {key!r} of this JSON ends early.") from None
            text, position = text[position:] + more, 0
