"""Widths of single layers under a budget, from a trained teacher; beside `crqat_full`, not part of it."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from crqat_pipeline.pipelines.bit_allocation.nodes import choose
from crqat_pipeline.runtime.needs import GPU


def create_pipeline() -> Pipeline:
    inputs = {
        "teacher": "teacher_checkpoint",
        "calibration": "calibration_data",
        "quantization": "params:quantization",
        "spec": "params:bit_allocation",
        "run": "params:run",
    }
    outputs = ["allocated_parameters", "allocation_table", "allocation_metrics", "allocation_plot"]
    nodes = [Node(choose, inputs=inputs, outputs=outputs, name="choose", tags=GPU)]
    return Pipeline(nodes, namespace="bit_allocation", prefix_datasets_with_namespace=False)
