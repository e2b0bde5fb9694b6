"""`kedro run --pipelines=crqat_full --env=smoke`, once for all tests of this file: every stage is real."""

from __future__ import annotations

import json
import os

import pandas as pd
import pytest
import torch
import yaml
from kedro.framework.project import configure_project
from kedro.framework.session import KedroSession
from mlflow.tracking import MlflowClient

pytestmark = pytest.mark.slow

FORMS = {"teacher", "finetuned", "ptq", "qat", "crqat", "int4", "onnx"}
STAGES = ("fetch_data", "data_prep", "teacher", "baselines", "stage1_backbone", "stage2_neck_head", "int4_export")


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


def test_students_say_how_many_images_calibrated_them(smoke):
    asked = yaml.safe_load((smoke.conf / "smoke/parameters.yml").read_text())["data_prep"]["calibration_images"]
    for path in ("baselines/ptq_student", "baselines/qat_student", "stage2_neck_head/student"):
        assert smoke.checkpoint(f"{path}.safetensors").metadata["calibration_images"] == asked
    assert "calibration_images" not in smoke.checkpoint("baselines/finetuned_student.safetensors").metadata


def test_the_packed_file_is_the_student(smoke):
    metrics = json.loads((smoke.data / "08_reporting/int4_export/metrics.json").read_text())
    assert metrics["largest_difference"] == 0
    assert metrics["compression"] > 4
    figures = json.loads((smoke.data / "08_reporting/evaluation/metrics.json").read_text())
    assert figures["int4"]["coco"] == figures["crqat"]["coco"]


def test_the_graph_computes_the_students_integers(smoke):
    metrics = json.loads((smoke.data / "08_reporting/int4_export/metrics.json").read_text())
    assert metrics["onnx_bytes"] == (smoke.data / "07_model_output/crqat.onnx").stat().st_size
    assert metrics["onnx_codes"] > 1_000_000
    assert 0 <= metrics["onnx_ties"] < 100
    assert metrics["onnx_integer_convolutions"] + metrics["onnx_float_convolutions"] == 57
    assert metrics["onnx_largest_box_difference_px"] < 0.01


def test_the_model_card_lies_beside_the_file_and_is_completed_by_the_evaluation(smoke):
    card = (smoke.data / "07_model_output/crqat.int4.md").read_text(encoding="utf-8")
    assert "Not measured yet" in card
    completed = (smoke.data / "08_reporting/evaluation/model_card.md").read_text(encoding="utf-8")
    results = json.loads((smoke.data / "08_reporting/evaluation/results.json").read_text())
    indexed = yaml.safe_load(completed.split("---\n")[1])["model-index"][0]["results"]
    assert len(indexed) == len(results["teacher"]) + len(results["int4"]) + len(results["onnx"])
    assert "Not measured yet" not in completed


def test_every_form_is_scored_by_both_protocols(smoke):
    figures = json.loads((smoke.data / "08_reporting/evaluation/metrics.json").read_text())
    assert set(figures) == FORMS
    for form in FORMS:
        assert {"AP", "AP50", "AP_novel", "AP_unseen"} <= set(figures[form]["coco"])
        assert {"AP", "APr"} <= set(figures[form]["lvis"])
        assert figures[form]["size_mb"] > 0


def test_the_exported_files_keep_the_students_ap(smoke):
    figures = json.loads((smoke.data / "08_reporting/evaluation/metrics.json").read_text())
    assert figures["int4"]["ap_difference_to_student"] == 0
    assert abs(figures["onnx"]["ap_difference_to_student"]) < 0.001
    assert figures["onnx"]["size_mb"] < figures["teacher"]["size_mb"] / 2


def test_the_papers_diagnostics_are_drawn_and_measured_times_stay_out_of_the_metrics(smoke):
    folder = smoke.data / "08_reporting/evaluation"
    for name in ("alignment", "distortion", "heat_maps"):
        assert (folder / f"{name}.png").stat().st_size > 10_000, name
    times = json.loads((folder / "latency.json").read_text())
    assert set(times["latency_ms"]) == {"teacher", "crqat", "onnx"}
    assert "ms" not in (folder / "metrics.json").read_text()
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert "Where each form finds the classes of an image" in html
    assert "Latency of CR-QAT ONNX" in html


def test_every_student_says_which_layers_move_its_answers(smoke):
    reports = smoke.data / "08_reporting"
    for stage, parts in {"ptq": 3, "qat": 3, "stage1_backbone": 1, "stage2_neck_head": 3}.items():
        layers, groups = (pd.read_csv(reports / stage / f"{name}.csv") for name in ("layers", "groups"))
        assert layers["part"].nunique() == parts, stage
        assert layers["movement"].between(0, 100).all(), stage
        everything = groups.iloc[0]
        assert (everything["group"], everything["quantizers"]) == ("everything", len(layers))
        assert 0 <= everything["movement"] < 100  # next to nothing: teacher and students are a step old
        metrics = json.loads((reports / stage / "layers.json").read_text())
        assert metrics["largest_movement"] == pytest.approx(layers["movement"].max())
        assert (reports / stage / "layers.png").stat().st_size > 10_000
    group_ap = pd.read_csv(reports / "evaluation/group_ap.csv")
    assert {"nothing", "everything", "backbone"} <= set(group_ap["group"])
    assert (set(group_ap["form"]), set(group_ap["images"])) == ({"ptq"}, {2})
    html = (reports / "evaluation/report.html").read_text(encoding="utf-8")
    assert "Single quantizers that move most" in html


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
    evaluation = children["evaluation"]
    artifacts = {one.path for one in client.list_artifacts(evaluation.info.run_id)}
    assert {"report.html", "alignment.png", "distortion.png", "heat_maps.png", "gallery.png"} <= artifacts
    assert {"latency_ms/onnx", "onnx/ap_difference_to_student", "crqat/coco/AP"} <= set(evaluation.data.metrics)


def test_a_stage_runs_alone_from_its_inputs_and_gives_the_same_bits(smoke):
    before = smoke.checkpoint("stage2_neck_head/student.safetensors").tensors
    smoke.run("stage2_neck_head", params={"run": {"reuse": False}})
    after = smoke.checkpoint("stage2_neck_head/student.safetensors").tensors
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_student_with_pre_activation_quantizers_becomes_a_fast_graph(smoke):
    """`--params quantization.pre_activation_bits=8`; the packed file holds the aligned biases that the graph has."""
    pytest.importorskip("onnxruntime")
    bits = {"quantization": {"pre_activation_bits": 8}}
    smoke.run("stage1_backbone", "stage2_neck_head", "int4_export", params=bits)
    metrics = json.loads((smoke.data / "08_reporting/int4_export/metrics.json").read_text())
    assert metrics["largest_difference"] == 0
    assert metrics["onnx_ties"] < 100
    assert (metrics["onnx_integer_convolutions"], metrics["onnx_float_convolutions"]) == (50, 7)


def test_the_graph_can_be_switched_off(smoke):
    smoke.run("int4_export", params={"int4_export": {"onnx": None}})
    assert (smoke.data / "07_model_output/crqat.onnx").read_bytes() == b""
    metrics = json.loads((smoke.data / "08_reporting/int4_export/metrics.json").read_text())
    assert not [name for name in metrics if name.startswith("onnx")]


def test_faulty_data_is_refused_before_training(smoke):
    """A truncated image and a box of no known category, reported together by the first stage; nothing is trained."""
    annotations = smoke.data / "01_raw/annotations/train.json"
    images = sorted((smoke.data / "01_raw/images/train").glob("*.jpg"))
    images[0].write_bytes(images[0].read_bytes()[:300])
    content = json.loads(annotations.read_text())
    content["annotations"][0]["category_id"] = 987654
    annotations.write_text(json.dumps(content))
    configure_project("crqat_pipeline")
    with (
        pytest.raises(Exception, match=r"(?s)987654.*damaged or cut off|damaged or cut off.*987654"),
        KedroSession.create(
            project_path=smoke.folder, conf_source=str(smoke.conf), env="smoke", save_on_close=False
        ) as session,
    ):
        session.run(pipeline_names=["fetch_data"], node_names=["fetch_data.check"])
