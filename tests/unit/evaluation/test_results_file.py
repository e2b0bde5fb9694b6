"""Results files go in and out unchanged, as a stream, and broken ones are refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from crqat_pipeline.evaluation import results_file
from crqat_pipeline.evaluation.detection_table import DetectionTable
from crqat_pipeline.evaluation.results_file import named_splits, read_ground_truth, read_results, write_results
from tests.support.evaluation_scenes import random_scene


@pytest.mark.parametrize("name", ["found.json", "found.json.gz"])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 22])
def test_write_then_read(name: str, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_file, "CHUNK", chunk)
    monkeypatch.setattr(results_file, "ROWS_AT_ONCE", 4)
    _, detections = random_scene(2, federated=False, num_images=3)
    table = DetectionTable.from_records(detections)
    for part in (table, table.rows(0, 1), table.rows(0, 0)):
        write_results(tmp_path / name, part)
        assert read_results(tmp_path / name).records() == part.records()
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_the_same_detections_give_the_same_bytes(tmp_path: Path) -> None:
    table = DetectionTable.from_records(random_scene(2, federated=False)[1])
    write_results(tmp_path / "a.json.gz", table)
    write_results(tmp_path / "b.json.gz", table)
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()


def test_other_tools_formatting_and_fields(tmp_path: Path) -> None:
    record: dict[str, Any] = {"image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 1,
                              "segmentation": {"size": [1, 1], "counts": "}],[{"}}  # fmt: skip
    path = tmp_path / "indented"
    path.write_text("\ufeff\n " + json.dumps([record, record], indent=4) + "\n\n", encoding="utf-8")
    assert (
        read_results(path).records() == [{key: record[key] for key in ("image_id", "category_id", "bbox", "score")}] * 2
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"images": []}', 'JSON list of detections.*begins with \'{"images": .*not the annotation file'),
        ("", "begins with ''"),
        ('[{"image_id": 1', "not a whole JSON list: record 0 is broken"),
        ('[{"image_id": 1, "category_id": 1, "bbox": [1, 1, 1, 1], "score": 1}', "record 1 is broken"),
        ('[{"image_id": 1, "category_id": 1, "bbox": [1, 1, 1, 1], "score": 1} {', "record 1 is broken at '{'"),
        ("[] []", "goes on after its list of 0"),
        ("[1, 2]", "(?s)COCO results format.*Found 2: record 0: TypeError"),
    ],
)
def test_what_is_not_a_results_file(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_results(path)


def test_a_cut_gzip_file(tmp_path: Path) -> None:
    path = tmp_path / "found.json.gz"
    path.write_bytes(gzip.compress(b'[{"image_id": 1}]')[:-9])
    with pytest.raises(ValueError, match="is damaged"):
        read_results(path)


def test_a_damaged_gzip_file_and_one_that_nests_without_end(tmp_path: Path) -> None:
    path = tmp_path / "found.json.gz"
    packed = bytearray(gzip.compress(json.dumps([{"image_id": n} for n in range(999)]).encode()))
    packed[len(packed) // 2] ^= 0xFF
    path.write_bytes(packed)
    with pytest.raises(ValueError, match="is damaged"):
        read_results(path)
    path.write_text("[" * 100_000)
    with pytest.raises(ValueError, match="nests lists deeper"):
        read_results(path)
    with pytest.raises(ValueError, match="nests lists or objects deeper"):
        read_ground_truth(path)


def test_ground_truth_comes_without_masks(tmp_path: Path) -> None:
    truth, _ = random_scene(1, federated=True)
    path = tmp_path / "truth.json.gz"
    with_masks = {**truth, "annotations": [{**one, "segmentation": [[0, 1]]} for one in truth["annotations"]]}
    path.write_bytes(gzip.compress(json.dumps(with_masks).encode()))
    assert read_ground_truth(path) == truth
    path.write_text("[]")
    with pytest.raises(ValueError, match=r"holds a list.*not the detections"):
        read_ground_truth(path)
    path.write_text("{")
    with pytest.raises(ValueError, match="must be JSON"):
        read_ground_truth(path)


def test_splits_named_by_the_file() -> None:
    categories = [{"id": 1, "splits": ["qat"]}, {"id": 2, "splits": ["qat", "novel"]}, {"id": 3}]
    assert named_splits({"categories": categories}) == {"qat": [1, 2], "novel": [2]}
