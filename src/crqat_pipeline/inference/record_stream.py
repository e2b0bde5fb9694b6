"""One JSON document on a stream, a record at a time, with nothing kept in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from crqat_pipeline.inference.address import Address
from crqat_pipeline.inference.result_lines import DocumentWriter


class RecordStream:
    """Takes records as a ResultFolder does, and draws nothing. Use `open_stream`."""

    def __init__(self, writer: DocumentWriter) -> None:
        self._writer = writer

    def place(self, name: Path, suffix: str | None) -> None:
        return None

    def temporary(self, place: Path) -> Path:
        raise ValueError(f"A stream of records has no place for {place}.")

    def add(self, record: Mapping[str, Any]) -> None:
        self._writer.add(record)

    def finish(self, file: Path | Address, record: Mapping[str, Any], place: Path | None = None) -> None:
        self._writer.add(record)


@contextmanager
def open_stream(file: BinaryIO, head: Mapping[str, Any]) -> Iterator[RecordStream]:
    """The document is whole JSON also when the block is left by an interruption."""
    writer = DocumentWriter(file, head)
    try:
        yield RecordStream(writer)
    finally:
        writer.close()
