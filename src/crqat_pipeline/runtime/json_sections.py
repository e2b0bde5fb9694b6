"""A large JSON object, its lists handed on item by item: neither the whole text nor all records are in memory at once.

What is refused, and how it is said, is `read_json_file`'s: a file that cannot be read in pieces is read by it.
"""

from __future__ import annotations

import io
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

from crqat_pipeline.runtime.bounded_gzip import GZIP_MAGIC, BoundedGzip
from crqat_pipeline.runtime.json_file import read_json_file

CHUNK_CHARACTERS = 2**22
LONGEST_ITEM = 2**27
"""Characters of one value that is no list of the object itself; longer ones are left to `read_json_file`."""

LONGEST_REST = 3
"""Of a number that goes on behind the text ("12" of "12e+8") more may be there than was taken, at most "e+"."""

_SPACE = re.compile(r"[ \t\n\r]*")

Hook = Callable[[dict[str, Any]], Any]
Gather = Mapping[str, Callable[[Iterable[Any]], Any]]


def read_json_sections(
    path: str | Path,
    gather: Gather,
    what: str = "A file",
    hook: Hook | None = None,
) -> Any:
    """The value of a JSON file as `read_json_file` reads it, with the same errors.

    gather: key of the object -> what makes the value of that key from the items of its list. Where the file holds
    something else under the key, that is the value. hook: as `object_hook` of `json.loads`. Raises JsonFileError.
    """
    path = Path(path)
    try:
        with _open(path) as stream:
            content = _Pieces(stream, json.JSONDecoder(object_hook=hook)).object(gather)
    except (OSError, EOFError, ValueError, RecursionError, zlib.error):
        read_json_file(path, what, lambda _: None)  # says what is wrong, without keeping records
        return read_json_file(path, what, hook)
    return hook(content) if hook else content


def _open(path: Path) -> IO[str]:
    with path.open("rb") as file:
        is_gzip = file.read(2) == GZIP_MAGIC
    raw = cast(IO[bytes], BoundedGzip(path) if is_gzip else path.open("rb"))
    encoding = json.detect_encoding(raw.read(4))
    raw.seek(0)
    return io.TextIOWrapper(raw, encoding=encoding, newline="")


class _Pieces:
    """The text of a stream from a position on. Every method raises ValueError where the text is no JSON."""

    def __init__(self, stream: IO[str], decoder: json.JSONDecoder) -> None:
        self._stream, self._decode = stream, decoder.raw_decode
        self._text, self._at = "", 0

    def object(self, gather: Gather) -> dict[str, Any]:
        """All of the stream."""
        content: dict[str, Any] = {}
        self._take("{")
        is_over = self._next() == "}" and bool(self._take("}"))
        while not is_over:
            if self._next() != '"':
                raise ValueError("A key is a text.")
            key = self._value()
            self._take(":")
            content[key] = gather.get(key, list)(self._items()) if self._next() == "[" else self._value()
            is_over = self._take(",}") == "}"
        if self._next():
            raise ValueError("There is more behind the object.")
        return content

    def _items(self) -> Iterator[Any]:
        self._take("[")
        if self._next() == "]":
            self._take("]")
            return
        while True:
            yield self._value()
            if self._take(",]") == "]":
                return

    def _value(self) -> Any:
        self._next()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError:
                if not self._more():
                    raise
                continue
            length = end - self._at
            if len(self._text) - end < LONGEST_REST and self._more():
                continue
            self._at += length
            return value

    def _next(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def _take(self, wanted: str) -> str:
        character = self._next()
        if not character or character not in wanted:
            raise ValueError(f"Wanted is one of {wanted}; got {character!r}.")
        self._at += 1
        return character

    def _more(self) -> bool:
        """Read on; False at the end of the stream."""
        if len(self._text) - self._at > LONGEST_ITEM:
            raise ValueError("One value is too long to be read in pieces.")
        chunk = self._stream.read(CHUNK_CHARACTERS)
        self._text, self._at = self._text[self._at :] + chunk, 0
        return bool(chunk)
