"""Curriculum QAT, stage 1 of the paper's plan: the backbone is quantized and trained; neck and head stand still."""

from __future__ import annotations

from kedro.pipeline import Pipeline

from crqat_pipeline.pipelines.qat_stage import curriculum_pipelines


def create_pipeline() -> Pipeline:
    return curriculum_pipelines()["stage1_backbone"]
