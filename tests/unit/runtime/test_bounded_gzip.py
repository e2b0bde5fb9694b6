"""A gzip file that unfolds to all memory is refused before it is in memory."""

import gzip
import json
import tracemalloc

import pytest

from crqat_pipeline.evaluation.results_file import read_results
from crqat_pipeline.runtime import bounded_gzip
from crqat_pipeline.runtime.bounded_gzip import GzipTooLargeError, unfolded
from crqat_pipeline.runtime.json_file import JsonFileError, read_json_file


@pytest.fixture
def bomb(tmp_path, monkeypatch):
    """64 MB of spaces in 64 KB; the spare room is smaller than in earnest."""
    monkeypatch.setattr(bounded_gzip, "SPARE_BYTES", 2**20)
    path = tmp_path / "bomb.json.gz"
    path.write_bytes(gzip.compress(b"[" + b" " * 2**26 + b"]"))
    return path


def test_it_is_refused_before_it_is_in_memory(bomb):
    tracemalloc.start()
    with pytest.raises(GzipTooLargeError, match=r"bomb\.json\.gz"):
        unfolded(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**26


def test_every_reader_of_json_says_so(bomb):
    with pytest.raises(JsonFileError, match="unfold to more than 200 times"):
        read_json_file(bomb)
    with pytest.raises(ValueError, match="unfold to more than 200 times"):
        read_results(bomb)


def test_repeated_records_are_no_bomb(tmp_path):
    row = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}
    path = tmp_path / "found.json.gz"
    path.write_bytes(gzip.compress(json.dumps([row] * 20_000).encode()))
    assert len(read_json_file(path)) == len(read_results(path)) == 20_000
