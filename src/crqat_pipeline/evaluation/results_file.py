"""COCO results files (.json, .json.gz) of any tool, read and written as a stream of records."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

from crqat_pipeline.detection_data.annotation_file import AnnotationFile, read_json_annotations
from crqat_pipeline.evaluation.detection_table import DetectionTable
from crqat_pipeline.evaluation.ground_truth import SCORING, scorable
from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.runtime.bounded_gzip import GZIP_MAGIC, BoundedGzip

CHUNK = 1 << 22
LONGEST_RECORD = 1 << 26
ROWS_AT_ONCE = 50_000


def open_text(path: Path) -> IO[str]:
    """The text of a file, compressed or not, whatever its name says."""
    with path.open("rb") as file:
        is_gzip = file.read(2) == GZIP_MAGIC
    return io.TextIOWrapper(BoundedGzip(path), encoding="utf-8") if is_gzip else path.open(encoding="utf-8")


def read_results(path: str | Path) -> DetectionTable:
    """The detections of a COCO results file; takes the memory of the table, not of the records.

    Raises ValueError if it is not a whole JSON list, EvaluationInputError for records without the four fields.
    """
    path = Path(path)
    with open_text(path) as stream:
        try:
            return DetectionTable.from_records(_records(stream, path))
        except (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as error:
            raise ValueError(f"Results file {path} is damaged: {error}. Write it again.") from error
        except RecursionError as error:
            raise ValueError(f"Results file {path} nests lists deeper than can be read. Write it again.") from error


def write_results(path: str | Path, table: DetectionTable) -> None:
    """A COCO results file, compressed if the name ends in .gz; it appears whole or not at all.

    The bytes depend on the detections alone (no time stamp is written).
    """
    path = Path(path)
    with atomic_path(path) as temporary, temporary.open("wb") as raw:
        if path.suffix == ".gz":
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0) as packed:
                _write(cast(IO[bytes], packed), table)
        else:
            _write(raw, table)


def _write(file: IO[bytes], table: DetectionTable) -> None:
    file.write(b"[")
    for first in range(0, len(table), ROWS_AT_ONCE):
        records = table.rows(first, first + ROWS_AT_ONCE).records()
        text = ",\n".join(json.dumps(record, separators=(",", ":")) for record in records)
        file.write((",\n" if first else "\n").encode() + text.encode())
    file.write(b"\n]\n")


def _records(stream: IO[str], path: Path) -> Iterator[Any]:
    """The elements of a JSON list, decoded one by one from a buffer of a few megabytes."""
    decode = json.JSONDecoder().raw_decode
    buffer = stream.read(CHUNK).lstrip("\ufeff \t\r\n")
    if not buffer.startswith("["):
        raise ValueError(
            f"A results file is a JSON list of detections; {path} begins with {buffer[:20]!r}. "
            "Give the detections, not the annotation file."
        )
    buffer, number = buffer[1:], 0
    while True:
        position = 0
        while True:
            position = _skip(buffer, position, " \t\r\n")
            if buffer[position : position + 1] == "]":
                if (buffer[position + 1 :] + stream.read(CHUNK)).strip():
                    raise ValueError(
                        f"Results file {path} goes on after its list of {number} detections. Give one list."
                    )
                return
            if number and buffer[position : position + 1] != ",":
                break
            start = _skip(buffer, position + 1, " \t\r\n") if number else position
            try:
                record, end = decode(buffer, start)
            except json.JSONDecodeError:
                break
            yield record
            number, position = number + 1, end
        more = stream.read(CHUNK)
        if not more or len(buffer) - position > LONGEST_RECORD:
            rest = buffer[position : position + 40]
            raise ValueError(f"Results file {path} is not a whole JSON list: record {number} is broken at {rest!r}.")
        buffer = buffer[position:] + more


def _skip(text: str, position: int, characters: str) -> int:
    while text[position : position + 1] and text[position] in characters:
        position += 1
    return position


def read_ground_truth(path: str | Path) -> AnnotationFile:
    """A COCO or LVIS annotation file without its masks, which take most of its memory, read for scoring.

    Raises ValueError if it is not a JSON object, EvaluationInputError for records that cannot be scored.
    """
    return scorable(AnnotationFile(read_json_annotations(path), str(path), SCORING))


def named_splits(ground_truth: Mapping[str, Any]) -> dict[str, list[int]]:
    """Category splits that an annotation file names itself, by `splits` lists in its categories."""
    splits: dict[str, list[int]] = {}
    for category in ground_truth.get("categories", ()):
        for name in category.get("splits", ()):
            splits.setdefault(name, []).append(category["id"])
    return splits
