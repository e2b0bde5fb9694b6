"""The environments of devices, on the data and the teacher of the smoke run and with its sizes."""

from __future__ import annotations

import json

import pytest
from kedro.framework.project import configure_project
from kedro.framework.session import KedroSession

pytestmark = pytest.mark.slow
STAGES = ("stage1_backbone", "stage2_neck_head", "int4_export")


@pytest.mark.parametrize(("env", "mark"), [("phone", "int8"), ("npu", "w4a8")])
def test_a_student_for_a_device_becomes_a_graph_of_whole_numbers(smoke, env, mark):
    pytest.importorskip("onnxruntime")
    own = smoke.conf / env / "globals.yml"
    own.write_text(f"extends: smoke\ndata_root: {smoke.data}\n", encoding="utf-8")
    configure_project("crqat_pipeline")
    with KedroSession.create(
        project_path=smoke.folder, conf_source=str(smoke.conf), env=env, save_on_close=False
    ) as session:
        session.run(pipeline_names=list(STAGES))
    metrics = json.loads((smoke.data / "08_reporting/int4_export/metrics.json").read_text())
    assert metrics["largest_difference"] == 0
    assert (metrics["onnx_integer_convolutions"], metrics["onnx_float_convolutions"]) == (50, 7)
    assert metrics["packed_bytes"] == (smoke.data / f"07_model_output/crqat.{mark}.safetensors").stat().st_size
    assert metrics["onnx_bytes"] == (smoke.data / f"07_model_output/crqat.{mark}.onnx").stat().st_size
