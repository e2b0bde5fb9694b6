"""The distillation terms of one stage, and what the teacher has to compute for them.

L_stage = L_task + Σ_i λ_i · L_KD^(i)     (CR-QAT, curriculum)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from crqat_pipeline.distillation.pkd import pkd_loss
from crqat_pipeline.distillation.trkd import TrkdSpec, trkd_loss
from crqat_pipeline.structures.output import DetectorOutput, PositiveRegions


class DistillationSpec(BaseModel):
    """Which terms are on in a stage; a weight of 0 or an absent section switches a term off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pkd_weight: float = Field(default=0.0, ge=0, description="λ of the backbone's PKD term; 6 in the paper")
    trkd: TrkdSpec | None = Field(default=None, description="Relational term of neck + head")

    @property
    def needs_teacher_backbone(self) -> bool:
        return self.pkd_weight > 0

    @property
    def needs_teacher_head(self) -> bool:
        return self.trkd is not None and self.trkd.weight > 0


@dataclass(frozen=True)
class TeacherView:
    """What the frozen teacher computed for a batch: nothing more than the spec asked for."""

    backbone_features: Mapping[str, Tensor]
    output: DetectorOutput | None = None
    positives: PositiveRegions | None = None


def distillation_losses(spec: DistillationSpec, student: DetectorOutput, teacher: TeacherView) -> dict[str, Tensor]:
    """Weighted scalar losses by name; the student's output must carry its backbone features for PKD."""
    losses: dict[str, Tensor] = {}
    if spec.needs_teacher_backbone:
        losses["pkd"] = spec.pkd_weight * pkd_loss(student.features, teacher.backbone_features)
    if spec.trkd is not None and spec.needs_teacher_head:
        assert teacher.output is not None
        assert teacher.positives is not None
        losses["trkd"] = spec.trkd.weight * trkd_loss(
            student.region_embeddings_BND,
            teacher.output.region_embeddings_BND,
            teacher.output.text_embeddings,
            teacher.positives,
            spec.trkd,
        )
    return losses
