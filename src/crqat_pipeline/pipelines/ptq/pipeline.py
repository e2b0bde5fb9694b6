"""PTQ by min-max, percentile and OMSE calibration, from a trained teacher; beside `crqat_full`, not part of it."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from crqat_pipeline.recipes.ptq import compare_rules
from crqat_pipeline.runtime.needs import GPU


def create_pipeline() -> Pipeline:
    inputs = {
        "teacher": "teacher_checkpoint",
        "calibration": "calibration_data",
        "validation": "val_benchmark",
        "quantization": "params:quantization",
        "spec": "params:evaluation",
        "run": "params:run",
        "resume_folder": "ptq_resume",
    }
    nodes = [
        Node(compare_rules, inputs=inputs, outputs="ptq_metrics", name="compare", tags=GPU),
    ]
    return Pipeline(nodes, namespace="ptq", prefix_datasets_with_namespace=False)
