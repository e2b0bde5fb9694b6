"""Packs the student into two codes per byte, writes it as an ONNX graph too, and proves that both agree with it."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from crqat_pipeline.curriculum.plan import PAPERS_PLAN
from crqat_pipeline.pipelines.int4_export.nodes import pack, verify
from crqat_pipeline.pipelines.qat_stage import last_student


def create_pipeline(plan: str = PAPERS_PLAN) -> Pipeline:
    student = last_student(plan)
    nodes = [
        Node(
            pack,
            inputs=[student, "text_bank", "params:data_prep", "params:int4_export"],
            outputs="int4_model",
            name="pack",
        ),
        Node(
            verify,
            inputs=[
                "int4_model",
                student,
                "qat_images",
                "calibration_set",
                "vocabulary",
                "text_bank",
                "params:int4_export",
            ],
            outputs=["onnx_model", "int4_export_metrics"],
            name="verify",
        ),
    ]
    return Pipeline(nodes, namespace="int4_export", prefix_datasets_with_namespace=False)
