"""Curriculum QAT, stage 2: neck and head join, aligned with the teacher by TRKD."""

from __future__ import annotations

from kedro.pipeline import Pipeline

from crqat_pipeline.pipelines.qat_stage import qat_pipeline


def create_pipeline() -> Pipeline:
    return qat_pipeline("stage2_neck_head", student_in="stage1_backbone_student")
