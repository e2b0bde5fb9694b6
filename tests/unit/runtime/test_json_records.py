"""Records of a large JSON object, whatever the place where a chunk of it ends."""

from __future__ import annotations

import io
import json

import pytest

from crqat_pipeline.runtime import json_records
from crqat_pipeline.runtime.json_records import list_records

DOCUMENT = {
    "info": {"a": [1, 2]},
    "images": [{"id": 1, "name": 'with ] and " and ,'}],
    "boxes": [{"id": n, "o": [[1.5, 2]] * n} for n in range(5)],
    "none": [],
}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("chunk", [1, 7, 64, 10_000])
def test_records_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch, chunk: int, indent: int | None) -> None:
    monkeypatch.setattr(json_records, "CHUNK_CHARACTERS", chunk)
    for key in ("images", "boxes", "none"):
        assert list(list_records(io.StringIO(json.dumps(DOCUMENT, indent=indent)), key)) == DOCUMENT[key]


def test_what_is_no_such_list_is_refused() -> None:
    with pytest.raises(ValueError, match="no list 'boxs'"):
        list(list_records(io.StringIO(json.dumps(DOCUMENT)), "boxs"))
    with pytest.raises(ValueError, match="ends early"):
        list(list_records(io.StringIO('{"boxes": [{"id": 1}, {"id"'), "boxes"))
