"""Packs the student into few bits, writes it as a graph too, proves that both are the student; writes its card."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from crqat_pipeline.pipelines.int4_export.nodes import describe, verify
from crqat_pipeline.recipes.exporting import pack_student
from crqat_pipeline.runtime.needs import LIGHT


def create_pipeline(student: str = "curriculum_student") -> Pipeline:
    """student: the entry that is packed; the parameters name the plan whose last stage makes it."""
    nodes = [
        Node(
            pack_student,
            inputs=[student, "text_bank", "params:data_prep", "params:int4_export"],
            outputs="int4_model",
            name="pack",
            tags=LIGHT,
        ),
        Node(
            verify,
            inputs=[
                "int4_model",
                student,
                "parity_data",
                "params:int4_export",
            ],
            outputs=["onnx_model", "int4_export_metrics"],
            name="verify",
            tags=LIGHT,
        ),
        Node(
            describe,
            inputs=["int4_model", "int4_export_metrics", "data_report", "params:teacher", "params:int4_export"],
            outputs="model_card",
            name="describe",
            tags=LIGHT,
        ),
    ]
    return Pipeline(nodes, namespace="int4_export", prefix_datasets_with_namespace=False)
