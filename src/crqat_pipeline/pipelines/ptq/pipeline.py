"""PTQ by min-max, percentile and OMSE calibration, from a trained teacher; beside `crqat_full`, not part of it."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from crqat_pipeline.pipelines.ptq.nodes import compare


def create_pipeline() -> Pipeline:
    names = (
        "qat_images",
        "calibration_set",
        "val_images",
        "val_set",
        "val_annotations",
        "vocabulary",
        "text_bank",
        "qat_vocabulary",
        "qat_text_bank",
    )
    inputs = {name: name for name in names} | {
        "teacher": "teacher_checkpoint",
        "quantization": "params:quantization",
        "spec": "params:evaluation",
        "run": "params:run",
        "resume_folder": "ptq_resume",
    }
    nodes = [
        Node(compare, inputs=inputs, outputs="ptq_metrics", name="compare"),
    ]
    return Pipeline(nodes, namespace="ptq", prefix_datasets_with_namespace=False)
