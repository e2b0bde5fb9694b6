"""Feature distillation by Pearson correlation (PKD; Cao et al., NeurIPS 2022).

Shape letters: B images, C channels, H W cells of a feature map.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from crqat_pipeline.distillation.loss import LossSpec, TeacherView
from crqat_pipeline.runtime.precision import widened
from crqat_pipeline.runtime.ranks import mean_over_ranks, share_of_ranks
from crqat_pipeline.structures.output import DetectorOutput

EPSILON = 1e-6
SMALLEST_DEVIATION = 1e-4
"""A channel that varies less is divided by this instead of its own deviation: the gradient grows with 1 / deviation,
and a nearly dead channel would outweigh all others. Channels of ordinary deviation (0.1 to 10) keep their bits."""


class PkdSpec(LossSpec):
    """Pearson correlation of the backbone's maps."""

    weight: float = Field(ge=0, description="λ of the backbone; 6 in the paper")


def standardize(features_BCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Zero mean and unit standard deviation per channel, over batch and space; and that deviation, (1, C, 1, 1).

    The batch is that of all workers. Channels below SMALLEST_DEVIATION get less than unit deviation.
    """
    features_BCHW = widened(features_BCHW)
    centred_BCHW = features_BCHW - _channel_mean(features_BCHW)
    deviation_1C11 = _channel_mean(centred_BCHW.square()).sqrt()
    return centred_BCHW / _divisor(deviation_1C11), deviation_1C11


def _channel_mean(values_BCHW: Tensor) -> Tensor:
    """(1, C, 1, 1) over space and the images of all workers; without gradient on several."""
    return mean_over_ranks(values_BCHW.mean((0, 2, 3), keepdim=True), len(values_BCHW))


def _divisor(deviation_1C11: Tensor) -> Tensor:
    return deviation_1C11.clamp(min=SMALLEST_DEVIATION) + EPSILON


class _StandardizedError(torch.autograd.Function):
    """½·MSE of the standardized maps, with its gradient in closed form: a fifth of plain autograd's time.

    With s and t standardized, e = s − t, n elements and σ the student's deviation in a channel:
    gradient = (e − s·mean(s·e)·(σ + ε)/σ) / (n·(σ + ε)), and 0 for a constant channel, where autograd gives NaN. Below
    SMALLEST_DEVIATION the divisor is a constant c, and the gradient e / (n·c). On several workers means and n are those
    of the whole batch, and the loss is this worker's part of the sum; all of it is asked for in the forward pass.
    """

    @staticmethod
    def forward(ctx: Any, student_BCHW: Tensor, teacher_BCHW: Tensor) -> Tensor:
        own_BCHW, deviation_1C11 = standardize(student_BCHW)
        error_BCHW = own_BCHW - standardize(teacher_BCHW)[0]
        slope_1C11 = _channel_mean(own_BCHW * error_BCHW)
        ctx.share = share_of_ranks(len(error_BCHW), like=error_BCHW)
        ctx.save_for_backward(own_BCHW, error_BCHW, deviation_1C11, slope_1C11)
        ctx.dtype = student_BCHW.dtype
        loss: Tensor = 0.5 * error_BCHW.square().mean() * ctx.share
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        own_BCHW, error_BCHW, deviation_1C11, slope_1C11 = ctx.saved_tensors
        varies_1C11, divisor_1C11 = deviation_1C11 > 0, _divisor(deviation_1C11)
        is_own_1C11 = deviation_1C11 >= SMALLEST_DEVIATION
        slope_1C11 = slope_1C11 * divisor_1C11 / deviation_1C11
        factor_1C11 = gradients[0] * ctx.share / error_BCHW.numel() / divisor_1C11
        gradient_BCHW = torch.addcmul(error_BCHW, own_BCHW, slope_1C11.where(is_own_1C11, 0.0), value=-1)
        return gradient_BCHW.mul_(factor_1C11.where(varies_1C11, 0.0)).to(ctx.dtype), None


def pkd(student: DetectorOutput, teacher: TeacherView, spec: PkdSpec) -> dict[str, Tensor]:
    """Row of LOSSES: all maps of the backbone."""
    return {"pkd": pkd_loss(student.features, teacher.backbone_features)}


def pkd_loss(student: Mapping[str, Tensor], teacher: Mapping[str, Tensor]) -> Tensor:
    """½·MSE of the standardized maps, summed over the teacher's scales: Σ (1 − Pearson r), in [0, 2·scales].

    Both map a scale's name to (B, C, H, W). 0 when each channel is a positive affine function of the teacher's.
    Raises ValueError when a scale is missing or its shape differs.
    """
    losses = []
    for name, teacher_BCHW in teacher.items():
        if name not in student or student[name].shape != teacher_BCHW.shape:
            got = tuple(student[name].shape) if name in student else "nothing"
            raise ValueError(
                f"PKD compares maps of equal shape; at {name!r} the teacher has {tuple(teacher_BCHW.shape)}, the "
                f"student {got}. Use a student of the teacher's architecture."
            )
        loss: Tensor = _StandardizedError.apply(student[name], teacher_BCHW.detach())
        losses.append(loss)
    return sum(losses[1:], losses[0])
