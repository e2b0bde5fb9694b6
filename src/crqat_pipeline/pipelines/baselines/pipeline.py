"""What CR-QAT is held against: calibration alone (PTQ), single-stage QAT, and the full-precision fine-tune."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from crqat_pipeline.pipelines.inspection_nodes import DIAGNOSTICS, inspect_calibrated
from crqat_pipeline.pipelines.qat_stage import qat_pipeline
from crqat_pipeline.recipes.qat import post_training_quantization
from crqat_pipeline.runtime.needs import GPU


def create_pipeline() -> Pipeline:
    ptq = Pipeline(
        [
            Node(
                post_training_quantization,
                inputs=[
                    "teacher_checkpoint",
                    "calibration_data",
                    "params:quantization",
                    "params:run",
                    "params:baselines.ptq",
                ],
                outputs="ptq_student",
                name="calibrate",
                tags=GPU,
                namespace="baselines.ptq",
            ),
            Node(
                inspect_calibrated,
                inputs=[
                    "ptq_student",
                    "calibration_data",
                    "params:baselines.ptq",
                    "params:diagnostics",
                    "params:run",
                ],
                outputs=[f"ptq_{name}" for name in DIAGNOSTICS],
                name="inspect",
                tags=GPU,
                namespace="baselines.ptq",
            ),
        ]
    )
    qat = qat_pipeline("qat", student_in="teacher_checkpoint", namespace="baselines.qat")
    finetuned = qat_pipeline(
        "finetuned", student_in="teacher_checkpoint", namespace="baselines.finetuned", is_quantized=False
    )
    return ptq + qat + finetuned
