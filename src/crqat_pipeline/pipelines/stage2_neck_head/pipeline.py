"""Curriculum QAT, stage 2 of the paper's plan: neck and head join, aligned with the teacher by TRKD."""

from __future__ import annotations

from kedro.pipeline import Pipeline

from crqat_pipeline.pipelines.qat_stage import curriculum_pipelines


def create_pipeline() -> Pipeline:
    return curriculum_pipelines()["stage2_neck_head"]
