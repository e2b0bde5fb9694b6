"""Everything, in order: data, teacher, baselines, the curriculum's stages, int4 export, evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from kedro.pipeline import Pipeline

from crqat_pipeline.curriculum.plan import PAPERS_PLAN
from crqat_pipeline.pipelines import (
    baselines,
    curriculum,
    data_prep,
    evaluation,
    fetch_data,
    int4_export,
    teacher,
    vocabulary_kd,
)
from crqat_pipeline.pipelines.qat_stage import last_student

BEFORE = (fetch_data, data_prep, teacher, baselines)
ON_DEMAND = (vocabulary_kd,)
"""Part of the whole where the evaluation names what they make."""


def create_pipeline(forms: Mapping[str, Mapping[str, Any]] = MappingProxyType({}), plan: str = PAPERS_PLAN) -> Pipeline:
    """forms: evaluation.forms of the parameters. plan: curriculum.plan."""
    scored = evaluation.create_pipeline(forms)
    before = (one.create_pipeline() for one in BEFORE)
    planned = (curriculum.create_pipeline(plan), int4_export.create_pipeline(last_student(plan)))
    asked = [one for one in (stage.create_pipeline() for stage in ON_DEMAND) if one.all_outputs() & scored.inputs()]
    return sum((*before, *planned, *asked, scored), Pipeline([]))
