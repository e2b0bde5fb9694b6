"""When each part of a detector is quantized: a plan is data.

Stage k quantizes and trains parts 1..k and keeps the parts after k frozen in full precision
(CR-QAT: curriculum quantization-aware training). Stage 1 leaves TRKD out: the teacher then runs its backbone alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from crqat_pipeline.distillation.table import LOSSES
from crqat_pipeline.runtime.lookup import look_up

Trained = Literal["weights", "correction"]
Quantized = Literal["all", "activations"]
REST: Literal["rest"] = "rest"


class PlannedStage(BaseModel):
    """One stage of a plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="Name of the stage, as in parameters, MLflow and DVC")
    adds: Annotated[int, Field(ge=0)] | Literal["rest"] = Field(
        description="How many parts this stage starts to quantize and train, in the detector's order; rest: all others"
    )
    share: float = Field(gt=0, le=1, description="Fraction of the steps, and of the images unless sees_all_images")
    terms: tuple[str, ...] = Field(
        default=tuple(LOSSES), description="Rows of LOSSES that may be on in this stage; all when absent"
    )
    rate_factor: float = Field(default=1.0, gt=0, description="Learning rate relative to the run's")
    trains: Trained = Field(
        default="weights", description="correction: only gain and shift per channel (EMA+QC, Gupta & Asthana)"
    )
    quantizes: Quantized = Field(
        default="all", description="activations: weights stay in full precision until a later stage quantizes them"
    )
    sees_all_images: bool = Field(default=False, description="All images instead of this stage's own share of them")

    @field_validator("terms")
    @classmethod
    def _terms_are_losses(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            look_up(LOSSES, name, "distillation loss")
        return names


class CurriculumPlan(BaseModel):
    """Ordered stages whose shares sum to 1. It counts parts and names none: their order is that of the detector."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stages: tuple[PlannedStage, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_complete(self) -> CurriculumPlan:
        total = sum(stage.share for stage in self.stages)
        if abs(total - 1) > 1e-3:
            raise ValueError(f"Shares of a plan sum to 1; these sum to {total:.4f}. Adjust `share`.")
        if not self.stages[0].adds:
            raise ValueError(f"The first stage of a plan adds at least one part; {self.stages[0].name!r} adds none.")
        rest = next((index for index, stage in enumerate(self.stages) if stage.adds == REST), len(self.stages))
        if self.stages[-1].quantizes != "all":
            raise ValueError(
                f"The last stage of a plan quantizes all; {self.stages[-1].name!r} quantizes activations alone."
            )
        for stage in self.stages[rest + 1 :]:
            if stage.adds:
                raise ValueError(f"No part is left after {self.stages[rest].name!r}; {stage.name!r} adds {stage.adds}.")
        return self


@dataclass(frozen=True)
class StageWindow:
    """A stage with everything before it resolved: its parts, and its range of the data in [0, 1]."""

    stage: PlannedStage
    parts: tuple[str, ...]
    data_start: float
    data_stop: float

    @property
    def name(self) -> str:
        return self.stage.name


def windows(plan: CurriculumPlan, parts: Sequence[str]) -> list[StageWindow]:
    """Cumulative parts and consecutive, disjoint ranges of the data, one per stage.

    parts: of the detector, in the order of the curriculum. Raises ValueError where there are too few for the plan.
    """
    result: list[StageWindow] = []
    num_parts, start = 0, 0.0
    for index, stage in enumerate(plan.stages):
        left = len(parts) - num_parts
        if (stage.adds == REST and not left) or (stage.adds != REST and stage.adds > left):
            raise ValueError(
                f"The stage {stage.name!r} adds {stage.adds} of the parts that are left of {', '.join(parts)}, which "
                f"are {left}. Take a plan of fewer stages."
            )
        num_parts += left if stage.adds == REST else stage.adds
        stop = 1.0 if index == len(plan.stages) - 1 else start + stage.share
        seen = (0.0, 1.0) if stage.sees_all_images else (start, stop)
        result.append(StageWindow(stage, tuple(parts[:num_parts]), *seen))
        start = stop
    return result


STAGE_PREFIX = "stage"


def named_apart(plan: CurriculumPlan) -> CurriculumPlan:
    """The same plan; a stage that is not called `stage...` becomes `curriculum_...`.

    Pipelines have stages of several plans beside one another: the `qat` of a plan is not the baseline `qat`.
    """
    stages = [
        stage if stage.name.startswith(STAGE_PREFIX) else stage.model_copy(update={"name": f"curriculum_{stage.name}"})
        for stage in plan.stages
    ]
    return plan.model_copy(update={"stages": tuple(stages)})


PLANS: Mapping[str, CurriculumPlan] = {
    "single_stage": CurriculumPlan(stages=(PlannedStage(name="qat", adds=REST, share=1.0),)),
    "two_stage": CurriculumPlan(
        stages=(
            PlannedStage(name="stage1_backbone", adds=1, share=1 / 3, terms=("pkd",)),
            PlannedStage(name="stage2_neck_head", adds=REST, share=2 / 3),
        )
    ),
    "two_stage_half": CurriculumPlan(
        stages=(
            PlannedStage(name="stage1_backbone", adds=1, share=1 / 2, terms=("pkd",)),
            PlannedStage(name="stage2_neck_head", adds=REST, share=1 / 2),
        )
    ),
    "three_stage": CurriculumPlan(
        stages=(
            PlannedStage(name="stage1_backbone", adds=1, share=1 / 3, terms=("pkd",)),
            PlannedStage(name="stage2_neck", adds=1, share=1 / 3),
            PlannedStage(name="stage3_head", adds=REST, share=1 / 3),
        )
    ),
    "corrected": CurriculumPlan(
        stages=(
            PlannedStage(name="qat", adds=REST, share=7 / 8, sees_all_images=True),
            PlannedStage(name="correction", adds=0, share=1 / 8, trains="correction", sees_all_images=True),
        )
    ),
    # Weights adapt to 4-bit activations first, and are quantized as they are then (the order of arXiv 2506.11784)
    "activations_first": CurriculumPlan(
        stages=(
            PlannedStage(name="activations", adds=REST, share=1 / 3, quantizes="activations", sees_all_images=True),
            PlannedStage(name="weights", adds=0, share=2 / 3, sees_all_images=True),
        )
    ),
}
PAPERS_PLAN = "two_stage"


def stage_names(plan: str) -> tuple[str, ...]:
    """Names that the stages of a row of PLANS have as pipelines, in parameters, MLflow and DVC."""
    return tuple(stage.name for stage in named_apart(look_up(PLANS, plan, "curriculum plan")).stages)
