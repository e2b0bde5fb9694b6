"""Exponential moving average of parameters and floating-point buffers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class WeightAverage:
    """Running average of a model's trainable state; starts as a copy of it.

    The decay ramps up as decay · (1 − exp(−step / ramp_steps)), so that a short run is not mostly its start.
    """

    def __init__(self, model: nn.Module, decay: float, ramp_steps: float = 200.0) -> None:
        self.decay = decay
        self.ramp_steps = ramp_steps
        self.tensors = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Fold in the model after `step` optimizer steps (1-based)."""
        decay = self.decay * (1 - math.exp(-step / self.ramp_steps))
        averaged, current = [], []
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                averaged.append(self.tensors[name])
                current.append(value)
            else:
                self.tensors[name].copy_(value)
        torch._foreach_lerp_(averaged, current, 1 - decay)

    def load(self, tensors: dict[str, Tensor]) -> None:
        for name, value in tensors.items():
            self.tensors[name].copy_(value)
