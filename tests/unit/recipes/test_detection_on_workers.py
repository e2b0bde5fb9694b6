"""Detections of an evaluation on real workers: those of one process, each image once."""

from __future__ import annotations

import numpy as np
import pytest

from crqat_pipeline.recipes import detecting
from crqat_pipeline.recipes.detection_job import DetectionJob, Piece, read_detection_job, write_detection_job
from crqat_pipeline.recipes.detection_on_workers import detect_on_workers, store_label
from crqat_pipeline.recipes.detection_worker import carry_out
from crqat_pipeline.recipes.forms import load_form
from crqat_pipeline.recipes.specs import RunSpec
from crqat_pipeline.recipes.stage_facts import weights_digest

pytestmark = pytest.mark.slow
COLUMNS = ("image_ids_M", "category_ids_M", "boxes_xywh_M4", "scores_M")


@pytest.fixture(scope="module")
def spec(problem):
    """Three batches of the six images."""
    return problem.evaluation.model_copy(update={"batch_size": 2})


def detected(problem, teacher, spec, folder):
    label = store_label("teacher", "coco")
    return detecting.detect_split(load_form(teacher), problem.final.data, spec, "cpu", label, folder)


def refuse(*arguments):
    raise AssertionError("nothing is detected twice")


def test_workers_find_what_one_process_finds(problem, teacher, spec, tmp_path, monkeypatch):
    alone = detected(problem, teacher, spec, tmp_path / "alone")
    run = RunSpec(seed=0, device="cpu", workers={"engine": "torchrun", "num_workers": 2})
    weights = {"teacher": weights_digest(load_form(teacher).state_dict())}
    where, benchmarks = tmp_path / "shared", {"coco": problem.final.data}
    detect_on_workers({"teacher": teacher}, weights, benchmarks, spec, run, where)
    assert len(list(where.rglob("shard-*.npz"))) == 3
    assert not (where / "workers").exists()
    monkeypatch.setattr(detecting, "_detect", refuse)
    shared = detected(problem, teacher, spec, where)
    assert len(alone)
    assert all(np.array_equal(getattr(shared, name), getattr(alone, name)) for name in COLUMNS)
    detect_on_workers({"teacher": teacher}, weights, benchmarks, spec, run, where)  # starts none: all is there


def test_a_job_reads_back_and_a_worker_takes_what_is_missing(problem, teacher, spec, tmp_path):
    ids = tuple(problem.final.data.split.images.ids.tolist())
    there, missing = (
        Piece("teacher", "coco", tmp_path / name, part)
        for name, part in (("shard-000000.npz", ids[:2]), ("shard-000001.npz", ids[2:]))
    )
    there.shard.write_bytes(b"of another worker")
    run = RunSpec(seed=0, device="cpu")
    job = DetectionJob({"teacher": teacher}, {"coco": problem.final.data}, spec, run, [there, missing])
    write_detection_job(tmp_path / "job", job)
    read = read_detection_job(tmp_path / "job")
    assert list(read.pieces) == [there, missing]
    assert (read.spec, read.run) == (spec, run)
    carry_out(tmp_path / "job")
    assert there.shard.read_bytes() == b"of another worker"
    with np.load(missing.shard) as written:
        assert written["done_image_ids"].tolist() == list(ids[2:])
        assert set(written["image_ids"]) <= set(ids[2:])
