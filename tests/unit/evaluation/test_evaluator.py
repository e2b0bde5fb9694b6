"""The evaluator against the two libraries used plainly, at tolerance zero."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

from crqat_pipeline.evaluation import evaluate
from tests.support.evaluation_scenes import plain_coco, plain_lvis, random_scene

COCO_KEYS = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR", "ARs", "ARm", "ARl"]
LVIS_KEYS = ["AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf"]


@pytest.mark.parametrize("seed", range(4))
def test_coco_equals_pycocotools(seed: int, capfd: pytest.CaptureFixture[str]) -> None:
    truth, detections = random_scene(seed, federated=False, with_crowds=True, score_steps=10 * (seed % 2))
    plain = plain_coco(truth, detections)
    capfd.readouterr()
    result = evaluate(truth, detections, "coco")
    assert capfd.readouterr() == ("", "")
    assert [result.metrics[key] for key in COCO_KEYS] == plain.stats.tolist()
    assert set(result.metrics) == set(COCO_KEYS)


@pytest.mark.parametrize("rows_per_shard", [1, 20, 10**6])
@pytest.mark.parametrize("seed", range(3))
def test_lvis_equals_the_library_in_any_sharding(
    seed: int, rows_per_shard: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    truth, detections = random_scene(seed, federated=True, num_images=9, max_detections=30, score_steps=9)
    plain = plain_lvis(truth, detections, 300, tmp_path / "truth.json")
    capfd.readouterr()
    result = evaluate(truth, detections, "lvis", rows_per_shard=rows_per_shard)
    assert capfd.readouterr() == ("", "")
    assert {key: result.metrics[key] for key in LVIS_KEYS} == {key: plain.results[key] for key in LVIS_KEYS}
    assert [result.metrics[f"AR{n}"] for n in ("", "s", "m", "l")] == [
        plain.results[f"AR{n}@300"] for n in ("", "s", "m", "l")
    ]


def test_lvis_keeps_the_best_300_of_an_image(tmp_path: Path) -> None:
    truth, detections = random_scene(5, federated=True, num_images=1, max_objects=40)
    image_id = truth["images"][0]["id"]
    rng = np.random.default_rng(0)
    for one in truth["annotations"] * 20:
        box = [value + float(rng.normal(0, 3)) for value in one["bbox"]]
        box[2:] = [max(value, 1.0) for value in box[2:]]
        detections.append(
            {"image_id": image_id, "category_id": one["category_id"], "bbox": box, "score": int(rng.integers(9)) / 9}
        )
    assert len(detections) > 400
    plain = plain_lvis(truth, detections, 300, tmp_path / "truth.json")
    fixed = plain_lvis(truth, detections, -1, tmp_path / "truth.json")
    cut, uncut = evaluate(truth, detections, "lvis"), evaluate(truth, detections, "lvis-fixed")
    assert {key: cut.metrics[key] for key in LVIS_KEYS} == {key: plain.results[key] for key in LVIS_KEYS}
    assert {key: uncut.metrics[key] for key in LVIS_KEYS} == {key: fixed.results[key] for key in LVIS_KEYS}
    assert cut.metrics["AP"] != uncut.metrics["AP"]
    assert "cut to the best" in cut.notes[0]


def test_worker_processes_change_no_figure() -> None:
    truth, detections = random_scene(3, federated=True, max_detections=20)
    alone = evaluate(truth, detections, "lvis-fixed", rows_per_shard=5)
    assert evaluate(truth, detections, "lvis-fixed", rows_per_shard=5, processes=2) == alone


def test_input_stays_as_it_was() -> None:
    truth, detections = random_scene(3, federated=True)
    copies = copy.deepcopy(truth), copy.deepcopy(detections)
    for backend in ("reference", "fast"):
        evaluate(truth, detections, "lvis", backend)
    assert (truth, detections) == copies


def test_one_perfect_category_by_hand() -> None:
    truth = {
        "images": [{"id": 1}],
        "categories": [{"id": 1, "name": "cup"}, {"id": 2, "name": "lamp"}, {"id": 3, "name": "bird"}],
        "annotations": [
            {"id": 0, "image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 50], "area": 2500},
            {"id": 1, "image_id": 1, "category_id": 2, "bbox": [0, 0, 50, 50], "area": 2500},
        ],
    }
    found = [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 50], "score": 0.9}]
    result = evaluate(truth, found, "coco", category_splits={"base": [1], "novel": {2, 3}, "unseen": [3]})
    assert result.metrics["AP"] == pytest.approx(0.5, abs=1e-12)
    assert result.metrics["AP_base"] == pytest.approx(1.0, abs=1e-12)
    assert result.metrics["AP_novel"] == 0.0
    assert result.metrics["AP_unseen"] == -1.0
    assert result.metrics["APs"] == -1.0
    assert [(row.name, row.num_objects, row.num_detections) for row in result.per_category] == [
        ("cup", 1, 1),
        ("lamp", 1, 0),
        ("bird", 0, 0),
    ]
    assert result.per_category[1].ap == 0.0
    assert result.per_category[2].ap == -1.0


def test_the_result_names_its_set_and_is_plain_data() -> None:
    truth, detections = random_scene(1, federated=False)
    truth["info"] = {"description": "a slice"}
    data = evaluate(truth, detections, "coco").as_dict()
    assert (data["dataset"], data["protocol"], data["backend"]) == ("a slice", "coco", "reference")
    assert data["per_category"][0]["category_id"] == 2


@pytest.mark.parametrize("protocol", ["coco", "lvis", "lvis-fixed"])
@pytest.mark.parametrize("backend", ["reference", "fast"])
def test_no_detections_give_zero(protocol: str, backend: str) -> None:
    truth, _ = random_scene(2, federated=protocol != "coco")
    result = evaluate(truth, [], protocol, backend)
    assert result.metrics["AP"] == 0.0
    assert result.notes == ("There are no detections.",)


@pytest.mark.parametrize("protocol", ["coco", "lvis"])
@pytest.mark.parametrize("backend", ["reference", "fast"])
@pytest.mark.parametrize("with_detections", [True, False])
def test_nothing_to_find_is_not_zero(
    protocol: str, backend: str, with_detections: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    truth, detections = random_scene(2, federated=protocol != "coco")
    truth["annotations"] = []
    result = evaluate(truth, detections if with_detections else [], protocol, backend)
    assert set(result.metrics.values()) == {-1.0}
    assert capfd.readouterr() == ("", "")
