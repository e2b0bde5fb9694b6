"""Files read piece by piece: the same value, and the same refusal, as of the whole file at once."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from crqat_pipeline.runtime import json_sections
from crqat_pipeline.runtime.json_file import JsonFileError, read_json_file
from crqat_pipeline.runtime.json_sections import read_json_sections

DOCUMENT = {
    "info": {"year": 2017, "text": 'a "quoted" [bracket], ünïcode \u2028'},
    "rows": [{"id": 1, "box": [0.5, 1, 1e300, -0.0]}, 12345, None, "]}", [[]], {"deep": {"rows": [1]}}],
    "empty": [],
    "other": [1, 2.5, True],
    "number": 17,
}


@pytest.mark.parametrize("chunk", [1, 7, 2**20])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_value_is_that_of_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, indent: int | None, encoding: str
) -> None:
    monkeypatch.setattr(json_sections, "CHUNK_CHARACTERS", chunk)
    path = tmp_path / "a.json"
    path.write_bytes(json.dumps(DOCUMENT, indent=indent, ensure_ascii=False).encode(encoding))

    read = read_json_sections(path, {"rows": lambda items: tuple(items)})

    assert read == DOCUMENT | {"rows": tuple(DOCUMENT["rows"])}  # type: ignore[arg-type]


def test_gzip_and_the_last_of_two_equal_keys(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(gzip.compress(b'{"rows": [1, 2], "rows": [3]}'))

    assert read_json_sections(path, {"rows": sum}) == {"rows": 3}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"rows": [1, 2',
        b'{"rows": [1, 2,]}',
        b'{"rows": [1 2]}',
        b'{"rows": [1], }',
        b'{"rows": [1]} and more',
        b'{"rows" [1]}',
        b'{"rows": ["\xff"]}',
        b'{"rows": [{"id": 01}]}',
        b'{"rows": [' + b"9" * 5000 + b"]}",
        b'{"rows": ' + b"[" * 100_000,
        gzip.compress(json.dumps(DOCUMENT).encode())[:-20],
    ],
)
def test_refusal_is_that_of_the_whole_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(JsonFileError) as expected:
        read_json_file(path, "An annotation file")

    with pytest.raises(JsonFileError) as refused:
        read_json_sections(path, {"rows": list}, "An annotation file")

    assert str(refused.value) == str(expected.value)


@pytest.mark.parametrize("content", ["[1, 2]", "17", "null"])
def test_what_is_no_object_is_read_too(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)

    assert read_json_sections(path, {"rows": list}) == json.loads(content)


def test_a_value_that_is_very_long_is_read_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_sections, "CHUNK_CHARACTERS", 64)
    monkeypatch.setattr(json_sections, "LONGEST_ITEM", 128)
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"rows": ["x" * 1000]}))

    assert read_json_sections(path, {"rows": tuple}) == {"rows": ["x" * 1000]}
