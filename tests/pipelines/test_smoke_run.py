"""`kedro run --pipelines=crqat_full --env=smoke`, once for all tests of this file: every stage is real."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from kedro.framework.project import configure_project
from kedro.framework.session import KedroSession
from mlflow.tracking import MlflowClient

from crqat_pipeline.catalog_io.checkpoint import SafetensorsCheckpoint

pytestmark = pytest.mark.slow

FORMS = {"teacher", "finetuned", "ptq", "qat", "crqat", "int4"}
STAGES = ("fetch_data", "data_prep", "teacher", "baselines", "stage1_backbone", "stage2_neck_head", "int4_export")


class SmokeProject:
    """The project's own conf in a temporary folder, writing there."""

    def __init__(self, project: Path, folder: Path) -> None:
        self.project, self.data, self.conf = project, folder / "data", folder / "conf"
        shutil.copytree(project / "conf", self.conf)
        (self.conf / "smoke" / "globals.yml").write_text(f"data_root: {self.data}\n", encoding="utf-8")

    def run(self, *names: str, params: dict | None = None) -> None:
        configure_project("crqat_pipeline")
        with KedroSession.create(
            project_path=self.project,
            conf_source=str(self.conf),
            env="smoke",
            runtime_params=params or {},
            save_on_close=False,
        ) as session:
            session.run(pipeline_names=list(names))

    def checkpoint(self, path: str):
        return SafetensorsCheckpoint(filepath=str(self.data / "06_models" / path)).load()


@pytest.fixture(scope="module")
def smoke(project, mlflow_template, tmp_path_factory):
    folder = tmp_path_factory.mktemp("smoke")
    shutil.copy(mlflow_template, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        prepared = SmokeProject(project, folder)
        prepared.run("crqat_full")
        yield prepared


def test_losses_are_finite_in_every_trained_stage(smoke):
    for stage in ("teacher", "qat", "finetuned", "stage1_backbone", "stage2_neck_head"):
        (history,) = (smoke.data / "08_reporting").glob(f"**/{stage}*/history.csv")
        assert pd.read_csv(history).notna().all().all(), stage


def test_stage_one_leaves_neck_and_head_as_the_teacher_has_them(smoke):
    teacher = smoke.checkpoint("teacher/teacher.safetensors").tensors
    student = smoke.checkpoint("stage1_backbone/student.safetensors").tensors
    later = [name for name in teacher if name.startswith(("neck.", "head."))]
    assert later
    assert all(torch.equal(teacher[name], student[name]) for name in later)
    moved = [name for name in teacher if name.startswith("backbone.") and not torch.equal(teacher[name], student[name])]
    assert moved


def test_students_say_what_is_quantized(smoke):
    assert smoke.checkpoint("stage1_backbone/student.safetensors").metadata["quantized_parts"] == ["backbone"]
    second = smoke.checkpoint("stage2_neck_head/student.safetensors").metadata
    assert second["quantized_parts"] == ["backbone", "neck", "head"]


def test_the_packed_file_is_the_student(smoke):
    metrics = json.loads((smoke.data / "08_reporting/int4_export/metrics.json").read_text())
    assert metrics["largest_difference"] == 0
    assert metrics["compression"] > 4
    figures = json.loads((smoke.data / "08_reporting/evaluation/metrics.json").read_text())
    assert figures["int4"]["coco"] == figures["crqat"]["coco"]


def test_every_form_is_scored_by_both_protocols(smoke):
    figures = json.loads((smoke.data / "08_reporting/evaluation/metrics.json").read_text())
    assert set(figures) == FORMS
    for form in FORMS:
        assert {"AP", "AP50", "AP_novel", "AP_unseen"} <= set(figures[form]["coco"])
        assert {"AP", "APr"} <= set(figures[form]["lvis"])
        assert figures[form]["size_mb"] > 0


def test_resumable_state_is_gone_after_success(smoke):
    assert not list(smoke.data.glob("06_models/**/step_*.safetensors"))


def test_the_report_is_one_offline_file(smoke):
    html = (smoke.data / "08_reporting/evaluation/report.html").read_text(encoding="utf-8")
    assert "CR-QAT" in html
    assert "<script src" not in html
    assert 'href="http' not in html


def test_mlflow_has_one_parent_and_one_child_per_stage(smoke):
    client = MlflowClient(tracking_uri=os.environ["MLFLOW_TRACKING_URI"])
    runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1
    children = {run.data.tags.get("stage"): run for run in runs if run not in parents}
    assert set(children) == {*STAGES, "evaluation"}
    assert any(name.startswith("loss") for name in children["stage2_neck_head"].data.metrics)
    assert children["stage2_neck_head"].data.tags["bits"] == "4-4-8"


def test_a_stage_runs_alone_from_its_inputs_and_gives_the_same_bits(smoke):
    before = smoke.checkpoint("stage2_neck_head/student.safetensors").tensors
    smoke.run("stage2_neck_head")
    after = smoke.checkpoint("stage2_neck_head/student.safetensors").tensors
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_faulty_data_is_refused_before_training(smoke):
    """A truncated image and an impossible box, reported together by the first stage; nothing is trained."""
    annotations = smoke.data / "01_raw/annotations/train.json"
    images = sorted((smoke.data / "01_raw/images/train").glob("*.jpg"))
    images[0].write_bytes(images[0].read_bytes()[:300])
    content = json.loads(annotations.read_text())
    content["annotations"][0]["bbox"] = [5, 5, 0, 10]
    annotations.write_text(json.dumps(content))
    configure_project("crqat_pipeline")
    with (
        pytest.raises(Exception, match=r"(?s)truncated.*positive width|positive width.*truncated"),
        KedroSession.create(
            project_path=smoke.project, conf_source=str(smoke.conf), env="smoke", save_on_close=False
        ) as session,
    ):
        session.run(pipeline_names=["fetch_data"], node_names=["fetch_data.check"])
