"""Everything, in order: data, teacher, baselines, both curriculum stages, int4 export, evaluation."""

from __future__ import annotations

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
)

STAGES = (fetch_data, data_prep, teacher, baselines, stage1_backbone, stage2_neck_head, int4_export, evaluation)


def create_pipeline() -> Pipeline:
    return sum((stage.create_pipeline() for stage in STAGES), Pipeline([]))
