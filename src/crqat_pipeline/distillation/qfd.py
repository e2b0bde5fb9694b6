"""Quantized feature distillation (QFD; Zhu et al., AAAI 2023): the student follows the teacher's quantized feature.

Shape letters: B images, C channels, H W cells of a feature map.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F


class QfdSpec(BaseModel):
    """One feature map, its bits, its weight."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: float = Field(default=0.5, ge=0, description="λ; 0.5 in its paper, which finds it insensitive")
    bits: int = Field(default=4, ge=1, le=8, description="Of the teacher's feature; 1 to 8 all help in its paper")
    feature: str = Field(default="td_p3", description="Map of the neck; the finest level is best in its paper")


def quantize_feature(feature_BCHW: Tensor, bits: int) -> Tensor:
    """Uniform over the range of the tensor: 2^bits values from its minimum to its maximum."""
    low, high = feature_BCHW.amin(), feature_BCHW.amax()
    step = ((high - low) / (2**bits - 1)).clamp(min=1e-12)
    quantized_BCHW: Tensor = ((feature_BCHW - low) / step).round() * step + low
    return quantized_BCHW


def qfd_loss(student: Mapping[str, Tensor], teacher: Mapping[str, Tensor], spec: QfdSpec) -> Tensor:
    """Unweighted mean of (student − quantized teacher feature)². Raises ValueError for a map that is not there."""
    for who, features in (("student", student), ("teacher", teacher)):
        if spec.feature not in features:
            raise ValueError(
                f"QFD compares one feature map by name; the {who} has {', '.join(features) or 'none'} and not "
                f"{spec.feature!r}. Set qfd.feature to one of them."
            )
    wanted_BCHW = quantize_feature(teacher[spec.feature].detach().float(), spec.bits)
    return F.mse_loss(student[spec.feature].float(), wanted_BCHW)
