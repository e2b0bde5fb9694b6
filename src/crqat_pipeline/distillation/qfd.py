"""Quantized feature distillation (QFD; Zhu et al., AAAI 2023): the student follows the teacher's quantized feature.

Shape letters: B images, C channels, H W cells of a feature map.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from crqat_pipeline.distillation.loss import LossSpec, TeacherView
from crqat_pipeline.runtime.precision import widened
from crqat_pipeline.runtime.ranks import maximum_over_ranks, minimum_over_ranks, share_of_ranks
from crqat_pipeline.structures.output import DetectorOutput


class QfdSpec(LossSpec):
    """Quantized feature distillation, a rival of the paper: one feature map and its bits."""

    weight: float = Field(default=0.5, ge=0, description="λ; 0.5 in its paper, which finds it insensitive")
    bits: int = Field(default=4, ge=1, le=8, description="Of the teacher's feature; 1 to 8 all help in its paper")
    feature: str | None = Field(
        default=None,
        description="Map that is compared; absent: the neck's first (the finest level is best in its paper)",
    )


def quantize_feature(feature_BCHW: Tensor, bits: int) -> Tensor:
    """Uniform over the range of the feature in the whole batch: 2^bits values from its minimum to its maximum."""
    low, high = minimum_over_ranks(feature_BCHW.amin()), maximum_over_ranks(feature_BCHW.amax())
    step = ((high - low) / (2**bits - 1)).clamp(min=1e-12)
    quantized_BCHW: Tensor = ((feature_BCHW - low) / step).round() * step + low
    return quantized_BCHW


def qfd(student: DetectorOutput, teacher: TeacherView, spec: QfdSpec) -> dict[str, Tensor]:
    """Row of LOSSES. Raises ValueError for a map that is not there."""
    assert teacher.output is not None
    feature = spec.feature or next(iter(teacher.neck_features), None)
    if feature is None:
        raise ValueError(
            "QFD compares a map of the neck, and this detector names none. Set qfd.feature to one of its features: "
            f"{', '.join(teacher.output.features)}."
        )
    return {"qfd": qfd_loss(student.features, teacher.output.features, feature, spec.bits)}


def qfd_loss(student: Mapping[str, Tensor], teacher: Mapping[str, Tensor], feature: str, bits: int) -> Tensor:
    """Mean of (student − quantized teacher feature)², at one map. Raises ValueError for a map that is not there."""
    for who, features in (("student", student), ("teacher", teacher)):
        if feature not in features:
            raise ValueError(
                f"QFD compares one feature map by name; the {who} has {', '.join(features) or 'none'} and not "
                f"{feature!r}. Set qfd.feature to one of them."
            )
    wanted_BCHW = quantize_feature(widened(teacher[feature].detach()), bits)
    share = share_of_ranks(len(wanted_BCHW), like=wanted_BCHW)
    return F.mse_loss(widened(student[feature]), wanted_BCHW) * share
