"""Vocabulary distillation, beside CR-QAT and not part of the paper: single-stage QAT on the teacher's soft answers."""

from __future__ import annotations

from kedro.pipeline import Pipeline

from crqat_pipeline.pipelines.qat_stage import qat_pipeline


def create_pipeline() -> Pipeline:
    return qat_pipeline("vocabulary_kd", student_in="teacher_checkpoint")
