"""The objective of one stage: the detector's own loss and the distillation losses that are on.

L_stage = L_task + Σ_i λ_i · L_KD^(i)     (CR-QAT, curriculum)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError
from torch import Tensor

from crqat_pipeline.distillation.loss import Loss, LossSpec, TeacherView
from crqat_pipeline.distillation.table import LOSSES
from crqat_pipeline.runtime.lookup import near_name
from crqat_pipeline.structures.output import DetectorOutput


class Objective(BaseModel):
    """The weight of the detector's own loss, and a section per distillation loss: absent, or of weight 0, it is off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    losses: ClassVar[Mapping[str, Loss]] = MappingProxyType({})
    """Section -> row of the table."""

    task_weight: float = Field(default=1.0, ge=0, description="Of the detector's own loss; 0: no labels are used")
    teacher_precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="Of the frozen teacher's forward pass. bfloat16 is faster where the processor has instructions for "
        "it, and moves the teacher's answers by about a percent. A stage under autocast has it anyway",
    )

    @model_validator(mode="before")
    @classmethod
    def _sections_are_losses(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            faults = [_fault(name, value[name], cls) for name in value if name not in cls.model_fields]
            if faults:
                raise ValidationError.from_exception_data(cls.__name__, faults)
        return value

    @model_validator(mode="after")
    def _has_an_objective(self) -> Self:
        if self.task_weight == 0 and not self.distils:
            raise ValueError("Something must be minimized: task_weight is 0 and no distillation term is on.")
        return self

    def only(self, terms: Collection[str]) -> Self:
        """The same without the losses that are not named."""
        left_out = {name: None for name in self.losses if name not in terms}
        return type(self).model_validate(self.model_dump() | left_out)

    def switched_on(self) -> Iterator[tuple[Loss, LossSpec]]:
        """The losses that count, in the order of the table, each with its section."""
        for name, loss in self.losses.items():
            section: LossSpec | None = getattr(self, name)
            if section is not None and section.weight > 0:
                yield loss, section

    @property
    def distils(self) -> bool:
        """Whether any distillation loss is on."""
        return any(True for _ in self.switched_on())

    @property
    def needs_teacher_backbone(self) -> bool:
        return any(loss.teacher_backbone for loss, _ in self.switched_on())

    @property
    def needs_positives(self) -> bool:
        return any(loss.positives for loss, _ in self.switched_on())

    @property
    def needs_teacher_head(self) -> bool:
        return any(loss.teacher_head for loss, _ in self.switched_on())

    @property
    def needs_student_features(self) -> bool:
        return any(loss.student_features for loss, _ in self.switched_on())


def _fault(name: str, value: Any, spec: type[Objective]) -> InitErrorDetails:
    """Why a section is refused, and what to write instead."""
    loss, _, option = name.partition("_")
    if loss in spec.losses and option in spec.losses[loss].spec.model_fields:
        remedy = f"Write {loss}: {{{option}: {value}}}"
    else:
        near = near_name(name, spec.model_fields)
        remedy = (f"Did you mean {near!r}? " if near else "") + f"There are: {', '.join(spec.model_fields)}"
    text = PydanticCustomError(
        "unknown_loss", "there is no distillation loss of this name. {remedy}", {"remedy": remedy}
    )
    return InitErrorDetails(type=text, loc=(name,), input=value)


def objective_over(losses: Mapping[str, Loss], name: str = "Objective") -> type[Objective]:
    """The parameters of an objective whose sections are the rows of this table."""
    sections: dict[str, Any] = {
        section: (loss.spec | None, Field(default=None, description=(loss.spec.__doc__ or "").partition("\n")[0]))
        for section, loss in losses.items()
    }
    spec: type[Objective] = create_model(
        name, __base__=Objective, __module__=__name__, __doc__=Objective.__doc__, **sections
    )
    spec.losses = losses
    return spec


if TYPE_CHECKING:
    DistillationSpec = Objective
else:
    DistillationSpec = objective_over(LOSSES, "DistillationSpec")


def distillation_losses(spec: Objective, student: DetectorOutput, teacher: TeacherView) -> dict[str, Tensor]:
    """Weighted scalar losses by name; student and teacher must hold what the spec's needs_… say.

    Their regions are compared in the order they have (OpenVocabularyDetector.in_order_of). Raises
    ValueError where two losses give a scalar of one name.
    """
    weighted: dict[str, Tensor] = {}
    for loss, section in spec.switched_on():
        for name, value in loss.function(student, teacher, section).items():
            if name in weighted:
                raise ValueError(f"Losses have names of their own; two of {', '.join(spec.losses)} give {name!r}.")
            weighted[name] = section.weight * value
    return weighted
