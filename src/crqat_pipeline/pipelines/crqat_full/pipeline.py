"""Everything, in order: data, teacher, baselines, both curriculum stages, int4 export, evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from kedro.pipeline import Pipeline

from crqat_pipeline.pipelines import (
    baselines,
    data_prep,
    evaluation,
    fetch_data,
    int4_export,
    stage1_backbone,
    stage2_neck_head,
    teacher,
    vocabulary_kd,
)

STAGES = (fetch_data, data_prep, teacher, baselines, stage1_backbone, stage2_neck_head, int4_export)
ON_DEMAND = (vocabulary_kd,)
"""Part of the whole where the evaluation names what they make."""


def create_pipeline(forms: Mapping[str, Mapping[str, Any]] = MappingProxyType({})) -> Pipeline:
    """forms: evaluation.forms of the parameters."""
    scored = evaluation.create_pipeline(forms)
    asked = [one for one in (stage.create_pipeline() for stage in ON_DEMAND) if one.all_outputs() & scored.inputs()]
    return sum((*(stage.create_pipeline() for stage in STAGES), *asked, scored), Pipeline([]))
