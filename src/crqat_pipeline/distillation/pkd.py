"""Feature distillation by Pearson correlation (PKD; Cao et al., NeurIPS 2022).

Shape letters: B images, C channels, H W cells of a feature map.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

EPSILON = 1e-6


def standardize(features_BCHW: Tensor) -> Tensor:
    """Zero mean and unit standard deviation per channel, over batch and space."""
    features_BCHW = features_BCHW.float()
    mean_1C11 = features_BCHW.mean((0, 2, 3), keepdim=True)
    centred_BCHW = features_BCHW - mean_1C11
    deviation_1C11 = centred_BCHW.square().mean((0, 2, 3), keepdim=True).sqrt()
    return centred_BCHW / (deviation_1C11 + EPSILON)


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
        losses.append(0.5 * F.mse_loss(standardize(student[name]), standardize(teacher_BCHW).detach()))
    return sum(losses[1:], losses[0])
