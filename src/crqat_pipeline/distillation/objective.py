"""The distillation terms of one stage, and what the teacher has to compute for them.

L_stage = L_task + Σ_i λ_i · L_KD^(i)     (CR-QAT, curriculum)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from crqat_pipeline.distillation.pkd import pkd_loss
from crqat_pipeline.distillation.qfd import QfdSpec, qfd_loss
from crqat_pipeline.distillation.trkd import TrkdSpec, trkd_loss
from crqat_pipeline.distillation.vocabulary_kd import VocabularyKdSpec, vocabulary_kd_losses
from crqat_pipeline.structures.output import DetectorOutput, PositiveRegions


class DistillationSpec(BaseModel):
    """Which terms are on in a stage; a weight of 0 or an absent section switches a term off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task_weight: float = Field(default=1.0, ge=0, description="Of the detector's own loss; 0: no labels are used")
    pkd_weight: float = Field(default=0.0, ge=0, description="λ of the backbone's PKD term; 6 in the paper")
    trkd: TrkdSpec | None = Field(default=None, description="Relational term of neck + head")
    qfd: QfdSpec | None = Field(default=None, description="Quantized feature distillation, a rival of the paper")
    vocabulary: VocabularyKdSpec | None = Field(
        default=None, description="The teacher's soft answers to all prompts; not in the paper"
    )

    @model_validator(mode="after")
    def _has_an_objective(self) -> Self:
        if self.task_weight == 0 and not (self.needs_teacher_backbone or self.needs_teacher_head):
            raise ValueError("Something must be minimized: task_weight is 0 and no distillation term is on.")
        return self

    def only(self, terms: Collection[str]) -> DistillationSpec:
        """The same without the terms that are not named (pkd, trkd, qfd, vocabulary)."""
        left_out: dict[str, object] = {name: None for name in ("trkd", "qfd", "vocabulary") if name not in terms}
        if "pkd" not in terms:
            left_out["pkd_weight"] = 0.0
        return DistillationSpec.model_validate(self.model_dump() | left_out)

    @property
    def needs_teacher_backbone(self) -> bool:
        return self.pkd_weight > 0

    @property
    def needs_positives(self) -> bool:
        return self.trkd is not None and self.trkd.weight > 0

    @property
    def needs_teacher_head(self) -> bool:
        return self.needs_positives or self.qfd is not None or self.vocabulary is not None

    @property
    def needs_student_features(self) -> bool:
        return self.needs_teacher_backbone or self.qfd is not None


@dataclass(frozen=True)
class TeacherView:
    """What the frozen teacher computed for a batch: nothing more than the spec asked for."""

    backbone_features: Mapping[str, Tensor]
    output: DetectorOutput | None = None
    positives: PositiveRegions | None = None


def distillation_losses(spec: DistillationSpec, student: DetectorOutput, teacher: TeacherView) -> dict[str, Tensor]:
    """Weighted scalar losses by name; the student's output must carry its features for PKD and QFD."""
    losses: dict[str, Tensor] = {}
    if spec.needs_teacher_backbone:
        losses["pkd"] = spec.pkd_weight * pkd_loss(student.features, teacher.backbone_features)
    if not spec.needs_teacher_head:
        return losses
    assert teacher.output is not None
    if spec.trkd is not None and spec.needs_positives:
        assert teacher.positives is not None
        losses["trkd"] = spec.trkd.weight * trkd_loss(
            student.region_embeddings_BND,
            teacher.output.region_embeddings_BND,
            teacher.output.text_embeddings,
            teacher.positives,
            spec.trkd,
        )
    if spec.qfd is not None:
        losses["qfd"] = spec.qfd.weight * qfd_loss(student.features, teacher.output.features, spec.qfd)
    if spec.vocabulary is not None:
        losses |= vocabulary_kd_losses(student, teacher.output, spec.vocabulary)
    return losses
