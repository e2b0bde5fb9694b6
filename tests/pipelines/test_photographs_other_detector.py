"""Nothing in `photos` is NanoDet's: YOLO-World with a file in the published layout, looked at by the dry run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from kedro.framework.startup import bootstrap_project

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.dry_run import examine
from crqat_pipeline.hooks.configured_run import dry_run_subject
from tests.support.few_photographs import write_few
from tests.unit.detectors.foreign_files import save_mmyolo

pytestmark = pytest.mark.slow


def test_yolo_world_goes_in_by_name_and_weights(project: Path, tmp_path: Path) -> None:
    source = project.parent / "shared" / "data"
    if not (source / "coco_photos").is_dir():
        pytest.skip("no photographs in ../shared/data beside the repository")
    bootstrap_project(project)
    torch.manual_seed(0)
    weights = tmp_path / "yolo_world_s.pth"
    save_mmyolo(weights, build_detector("yolo_world_s"), version=2)
    parameters = {
        "photos": str(write_few(source, tmp_path / "photographs", num_train=8, num_val=4)),
        "detector": {"name": "yolo_world_s"},
        "teacher": {"weights": str(weights)},
        "curriculum": {"train": {"loader": {"image_size_px": 64, "batch_size": 2}}},
    }
    report = examine(dry_run_subject(project, str(project / "conf"), "photos", ["crqat_full"], parameters))
    assert report.missing == []
    assert "yolo_world_s" in "\n".join(report.table_of("Detector"))
    assert f"read from {weights}" in "\n".join(report.table_of("Detector"))
    heads, _, *rows = report.table_of("Training stages")
    assert "CPU-hours" in heads or "GPU-hours" in heads
    assert {row.split()[0] for row in rows} == {
        "qat",
        "finetuned",
        "stage1_backbone",
        "stage2_neck_head",
        "vocabulary_kd",
        "together",
    }
