"""Curriculum QAT: the stages of the plan that the parameter `curriculum.plan` names, one after another."""

from __future__ import annotations

from kedro.pipeline import Pipeline

from crqat_pipeline.curriculum.plan import PAPERS_PLAN
from crqat_pipeline.pipelines.qat_stage import curriculum_pipelines


def create_pipeline(plan: str = PAPERS_PLAN) -> Pipeline:
    return sum(curriculum_pipelines(plan).values(), Pipeline([]))
