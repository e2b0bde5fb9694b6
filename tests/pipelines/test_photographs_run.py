"""`crqat_full` in the environment `photos`, from published weights to the report, on a few photographs and steps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from kedro.framework.project import configure_project
from kedro.framework.session import KedroSession

from crqat_pipeline.catalog_io.checkpoint import SafetensorsCheckpoint
from tests.support.few_photographs import write_few
from tests.support.foreign_package import put_on_path

pytestmark = pytest.mark.slow

STEPS = {"num_steps": 1, "log_every_steps": 1}
STAGE = {"train": {"loader": {"image_size_px": 64, "batch_size": 2}, "optimization": STEPS}}
SMALL = {
    "data_prep": {"calibration_images": 2},
    "baselines": {"ptq": {"image_size_px": 64}, "qat": STAGE, "finetuned": STAGE},
    "stage1_backbone": STAGE,
    "stage2_neck_head": STAGE,
    "vocabulary_kd": STAGE,
    "int4_export": {"image_size_px": 64, "parity_images": 2},
    "diagnostics": {"images": 1},
    "evaluation": {
        "group_images": 2,
        "image_size_px": 160,
        "batch_size": 4,
        "alignment_images": 2,
        "latency_calls": 1,
        "gallery_images": 1,
    },
}


@pytest.fixture(scope="module")
def data(project: Path, mlflow_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = project.parent / "shared" / "data"
    if not (source / "nanodet_m").is_dir():
        pytest.skip("no photographs and weights in ../shared/data beside the repository")
    folder = tmp_path_factory.mktemp("photos")
    shutil.copy(mlflow_template, folder / "mlflow.db")
    shutil.copytree(project / "conf", folder / "conf")
    own = folder / "conf" / "photos" / "globals.yml"
    own.write_text(own.read_text(encoding="utf-8").replace("data/photos", str(folder / "data")), encoding="utf-8")
    photos = write_few(source, folder / "photographs", num_train=8, num_val=4)
    configure_project("crqat_pipeline")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        put_on_path(project / "examples" / "nanodet", folder / "site", patch)
        with KedroSession.create(
            project_path=project,
            conf_source=str(folder / "conf"),
            env="photos",
            runtime_params={"photos": str(photos), **SMALL},
            save_on_close=False,
        ) as session:
            session.run(pipeline_names=["crqat_full"])
    return folder / "data"


def test_the_published_detector_finds_objects_by_both_vocabularies(data: Path) -> None:
    results = json.loads((data / "08_reporting/evaluation/results.json").read_text(encoding="utf-8"))
    teacher = results["teacher"]
    assert (teacher["coco"]["num_images"], teacher["lvis"]["num_images"]) == (4, 4)
    assert teacher["coco"]["metrics"]["AP"] > 0.1
    assert teacher["lvis"]["metrics"]["AP"] > 0.1
    assert set(results) == {"teacher", "finetuned", "ptq", "qat", "crqat", "vocabulary_kd", "int4", "onnx"}
    student, packed, graph = (results[form]["coco"]["metrics"]["AP"] for form in ("crqat", "int4", "onnx"))
    assert packed == pytest.approx(student, abs=1e-3)
    assert graph == pytest.approx(student, abs=1e-3)


def test_every_method_starts_from_the_published_weights(data: Path) -> None:
    teacher = SafetensorsCheckpoint(filepath=str(data / "06_models/teacher/teacher.safetensors")).load()
    assert teacher.metadata["weights"].endswith("nanodet_m_416.param")
    for stage in ("baselines/qat_student", "stage2_neck_head/student", "vocabulary_kd/student"):
        student = SafetensorsCheckpoint(filepath=str(data / f"06_models/{stage}.safetensors")).load()
        assert student.metadata["detector"]["name"] == "nanodet_m"


def test_the_report_is_written(data: Path) -> None:
    evaluation = data / "08_reporting" / "evaluation"
    assert "CR-QAT" in (evaluation / "report.html").read_text(encoding="utf-8")
    assert (evaluation / "gallery.png").stat().st_size > 0


def test_groups_of_quantizers_are_scored_one_at_a_time_and_shown(data: Path) -> None:
    scores = pd.read_csv(data / "08_reporting/evaluation/group_ap.csv")
    assert set(scores["form"]) == {"ptq"}
    groups = scores["group"].tolist()
    assert groups[:5] == ["nothing", "everything", "backbone", "neck", "head"]
    assert {"backbone.stage3", "depthwise weights", "inputs after depthwise"} <= set(groups)
    assert scores["AP"].between(0, 1).all()
    moved = pd.read_csv(data / "08_reporting/ptq/groups.csv")
    assert set(groups[1:]) <= set(moved["group"])
    html = (data / "08_reporting/evaluation/report.html").read_text(encoding="utf-8")
    assert "AP in percent on the first 2 validation images." in html
