"""What was found, as JSON lines that are on disk as soon as they are found, and the document made of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

FIRST_BYTES = b'{"image": '
DONE = "done"
"""Key of the line that completes a file's lines; its value is not part of the record."""


@dataclass(frozen=True)
class DoneFile:
    """A source file whose lines are complete: bytes start to stop of the lines file, and what its last line says."""

    start: int
    stop: int
    facts: Mapping[str, Any]
    has_failed: bool


def json_bytes(value: Any) -> bytes:
    """UTF-8 in one line; file names that are not UTF-8 keep their bytes as the escapes of lone surrogates."""
    try:
        return json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value).encode("ascii")


class ResultLines:
    """Lines of one or more source files, each file's records followed at once by the next one's.

    A record has the key "image", the path of its source. A write that fails leaves the lines before it usable.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file, or makes it; what follows the last complete source file is cut off.

        Raises ValueError for a file that holds something else, OSError for a link or a place that cannot be written.
        """
        self.path = path
        self.files: dict[str, DoneFile] = {}
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        self._file: BinaryIO = os.fdopen(os.open(path, flags, 0o666), "r+b", buffering=0)
        begin = self._file.read(len(FIRST_BYTES))
        if not FIRST_BYTES.startswith(begin):
            raise ValueError(f"{path} holds something else than detections. Move it, or choose another folder.")
        self._end = self._read()
        self._file.truncate(self._end)
        self._start = self._end
        self._file.seek(self._end)

    def add(self, record: Mapping[str, Any], done: Mapping[str, Any] | None = None) -> None:
        """One more record; `done` makes it the last of its source file. Raises OSError when the disk is full."""
        line = json_bytes(record if done is None else {**record, DONE: done}) + b"\n"
        view = memoryview(line)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError:
            self._file.truncate(self._end)
            self._file.seek(self._end)
            raise
        self._end += len(line)
        if done is not None:
            self.files[record["image"]] = DoneFile(self._start, self._end, done, "error" in record)
            self._start = self._end

    def keep(self, is_wanted: Callable[[DoneFile], bool]) -> None:
        """Look no more at the lines of other files."""
        self.files = {name: each for name, each in self.files.items() if is_wanted(each)}

    def records(self, names: Iterable[str]) -> Iterator[dict[str, Any]]:
        """The records of these source files, as far as they are complete, in this order."""
        with self.path.open("rb") as file:
            for name in names:
                if name in self.files:
                    done = self.files[name]
                    file.seek(done.start)
                    while file.tell() < done.stop:
                        record = json.loads(file.readline())
                        record.pop(DONE, None)
                        yield record

    def close(self) -> None:
        self._file.close()

    def _read(self) -> int:
        """Fill `files`; returns where the last complete source file ends."""
        start = position = 0
        with self.path.open("rb") as file:
            for line in file:
                position += len(line)
                record = _record(line)
                if record is None:
                    break
                if DONE in record:
                    self.files[record["image"]] = DoneFile(start, position, record[DONE], "error" in record)
                    start = position
        return start


def _record(line: bytes) -> dict[str, Any] | None:
    """The record of a whole line; None for one that was cut off, or that we did not write."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    is_ours = isinstance(record, dict) and isinstance(record.get("image"), str)
    return record if is_ours and isinstance(record.get(DONE, {}), dict) else None


class DocumentWriter:
    """Writes {**head, "images": [records]} with one record per line, however many there come."""

    def __init__(self, file: BinaryIO, head: Mapping[str, Any]) -> None:
        self._file, self._separator = file, b"\n  "
        fields = [json_bytes(key) + b": " + json_bytes(value) for key, value in head.items()]
        file.write(b"{\n " + b",\n ".join([*fields, b'"images": [']))

    def add(self, record: Mapping[str, Any]) -> None:
        self._file.write(self._separator + json_bytes(record))
        self._file.flush()
        self._separator = b",\n  "

    def close(self) -> None:
        """End the document; the file stays open."""
        self._file.write(b"\n ]\n}\n")
        self._file.flush()
