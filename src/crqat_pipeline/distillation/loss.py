"""What a distillation loss is: a section of the parameters, what it has to be shown, and a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from crqat_pipeline.structures.output import DetectorOutput, PositiveRegions


class LossSpec(BaseModel):
    """The section of one loss. Further options are fields of a subclass; a weight of 0 switches the loss off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: float = Field(ge=0, description="λ of all that the loss returns")


@dataclass(frozen=True)
class TeacherView:
    """What the frozen teacher computed for a batch: nothing more than the losses asked for.

    Features are maps (B, C, h, w) by name, each group in the detector's own order.
    """

    backbone_features: Mapping[str, Tensor]
    output: DetectorOutput | None = None
    positives: PositiveRegions | None = None
    neck_features: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Loss:
    """A row of LOSSES.

    spec: what may be written in the loss's section, a subclass of LossSpec. function: (student's output, teacher's
    view, section) -> scalars by name, not yet weighted; the names are those of the curves, so no two losses share one.
    The flags say what the function reads: nothing else is computed. teacher_backbone: the view's backbone_features.
    teacher_output: its output and neck_features. positives: its positives, the teacher's own assignment (the output is
    then there too). student_features: the features of the student's output.
    """

    spec: type[LossSpec]
    function: Callable[[DetectorOutput, TeacherView, Any], Mapping[str, Tensor]]
    teacher_backbone: bool = False
    teacher_output: bool = False
    positives: bool = False
    student_features: bool = False

    @property
    def teacher_head(self) -> bool:
        """Whether the whole teacher has to run."""
        return self.teacher_output or self.positives
