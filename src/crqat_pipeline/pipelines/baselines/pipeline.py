"""What CR-QAT is held against: calibration alone (PTQ), single-stage QAT, and the full-precision fine-tune."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from crqat_pipeline.pipelines.baselines.nodes import calibrate_only
from crqat_pipeline.pipelines.qat_stage import qat_pipeline


def create_pipeline() -> Pipeline:
    ptq = Pipeline(
        [
            Node(
                calibrate_only,
                inputs=[
                    "teacher_checkpoint",
                    "qat_images",
                    "calibration_set",
                    "qat_vocabulary",
                    "qat_text_bank",
                    "params:quantization",
                    "params:run",
                    "params:baselines.ptq",
                ],
                outputs="ptq_student",
                name="calibrate",
                namespace="baselines.ptq",
            )
        ]
    )
    qat = qat_pipeline("qat", student_in="teacher_checkpoint", namespace="baselines.qat")
    finetuned = qat_pipeline(
        "finetuned", student_in="teacher_checkpoint", namespace="baselines.finetuned", is_quantized=False
    )
    return ptq + qat + finetuned
