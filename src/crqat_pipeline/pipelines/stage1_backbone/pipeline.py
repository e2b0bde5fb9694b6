"""Curriculum QAT, stage 1: the backbone is quantized and trained; neck and head stand still."""

from __future__ import annotations

from kedro.pipeline import Pipeline

from crqat_pipeline.pipelines.qat_stage import qat_pipeline


def create_pipeline() -> Pipeline:
    return qat_pipeline("stage1_backbone", student_in="teacher_checkpoint")
