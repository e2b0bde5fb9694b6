"""A plan of the curriculum, as the QAT stages that carry it out: for the pipelines and for the study alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from crqat_pipeline.curriculum.plan import PAPERS_PLAN, PLANS, CurriculumPlan, PlannedStage, named_apart, windows
from crqat_pipeline.detectors.family import PARTS
from crqat_pipeline.distillation.objective import DistillationSpec
from crqat_pipeline.recipes.specs import QatSpec, QatStageSpec
from crqat_pipeline.runtime.lookup import look_up
from crqat_pipeline.training.spec import OptimizationSpec


class CurriculumSpec(BaseModel):
    """The training of the student as a whole; the plan cuts it into stages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plan: str = Field(default=PAPERS_PLAN, description="Row of PLANS: stages, their parts, images, steps and terms")
    train: QatSpec = Field(description="Of all stages together: num_steps are shared out by the plan")
    distillation: DistillationSpec = Field(
        default_factory=DistillationSpec, description="Terms beside the task loss; the plan says in which stage"
    )

    @field_validator("plan")
    @classmethod
    def _is_a_plan(cls, name: str) -> str:
        look_up(PLANS, name, "curriculum plan")
        return name

    @model_validator(mode="after")
    def _stages_can_be_made(self) -> Self:
        curriculum_stages(self, PARTS)
        return self


def curriculum_stages(spec: CurriculumSpec, parts: Sequence[str]) -> list[QatStageSpec]:
    """The stages of `spec.plan` over a detector's parts, under the names that pipelines give them."""
    return planned_stages(named_apart(PLANS[spec.plan]), spec.train, spec.distillation, parts)


def single_stage(spec: CurriculumSpec, name: str, parts: Sequence[str]) -> QatStageSpec:
    """What the curriculum is compared with: the same images, steps and rate in one stage, without distillation."""
    (stage,) = planned_stages(PLANS["single_stage"], spec.train, DistillationSpec(), parts)
    return stage.model_copy(update={"name": name})


def planned_stages(
    plan: CurriculumPlan, train: QatSpec, distillation: DistillationSpec, parts: Sequence[str]
) -> list[QatStageSpec]:
    """One spec per stage. Steps are shared out and sum to those of `train`; terms are on where the plan has them on.

    parts: of the detector, in its order. Raises ValueError where a stage would get no step or no part.
    """
    specs: list[QatStageSpec] = []
    shares_before, steps_before = 0.0, 0
    for window in windows(plan, parts):
        stage = window.stage
        shares_before += stage.share
        steps_until = round(shares_before * train.optimization.num_steps)
        specs.append(
            QatStageSpec(
                **dict(train) | {"optimization": _part(train.optimization, stage, steps_until - steps_before)},
                name=window.name,
                parts=window.parts,
                data_window=(window.data_start, window.data_stop),
                trains=stage.trains,
                quantizes=stage.quantizes,
                distillation=distillation.only(stage.terms),
            )
        )
        steps_before = steps_until
    return specs


def _part(whole: OptimizationSpec, stage: PlannedStage, num_steps: int) -> OptimizationSpec:
    """Epochs are passes over the stage's own images: a stage that sees them all takes its share of the passes."""
    if whole.num_epochs is None and num_steps < 1:
        raise ValueError(
            f"every stage takes a step; {stage.name!r} gets none of the {whole.num_steps}. Raise num_steps (at least 1 "
            "for each stage of the plan)"
        )
    epochs = whole.num_epochs and whole.num_epochs * (stage.share if stage.sees_all_images else 1.0)
    return whole.model_copy(
        update={
            "num_steps": num_steps,
            "num_epochs": epochs,
            "learning_rate": whole.learning_rate * stage.rate_factor,
            "ema_decay": whole.ema_decay if stage.trains == "weights" else None,
        }
    )
