"""Weight codes that change from step to step: how many, which go to and fro, and what a TransitionSpec does about it.

A weight that a straight-through gradient drives across the border of two codes and back again keeps doing so: it
disturbs its neighbours and ends wherever training stops (Nagel et al., ICML 2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from crqat_pipeline.quantization.affine import along_axis
from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer
from crqat_pipeline.quantization.layers import QuantConv2d, QuantLinear
from crqat_pipeline.quantization.transition_spec import TransitionSpec

OSCILLATES_ABOVE = 0.005
"""Frequency from which a code counts as oscillating (Nagel et al., ICML 2022)."""
SHARE_MOMENTUM, RATE_GAIN = 0.1, 0.05
SMALLEST_FACTOR, LARGEST_FACTOR = 0.01, 10.0


@dataclass(frozen=True)
class _Tracked:
    """One weight and what is known of its codes, tensors of its shape.

    code: of the last step. direction: of the last change, -1, 0 or 1. frequency: running share of steps in which the
    code went back. mean: running mean of the code. frozen: whether it stands still for good.
    """

    name: str
    weight: Tensor
    quantizer: FakeQuantizer
    code: Tensor
    direction: Tensor
    frequency: Tensor
    mean: Tensor
    frozen: Tensor

    @classmethod
    def start(cls, name: str, weight: Tensor, quantizer: FakeQuantizer) -> _Tracked:
        code = quantizer.codes(weight)
        blank = torch.zeros_like(code)
        return cls(name, weight, quantizer, code, blank.clone(), blank.clone(), code.clone(), blank.bool())

    @property
    def tensors(self) -> dict[str, Tensor]:
        names = ("code", "direction", "frequency", "mean", "frozen")
        return {f"{self.name}.{name}": getattr(self, name) for name in names}


class CodeTransitions:
    """Follows the codes of the weights that train, beside the steps of a training (training.companion.Companion).

    num_steps: of the training; schedules run over it. The weights' quantizers are on and calibrated.
    """

    def __init__(self, detector: nn.Module, spec: TransitionSpec, num_steps: int) -> None:
        self._spec, self._num_steps = spec, num_steps
        self._tracked = [
            _Tracked.start(name, layer.weight, quantizer)
            for name, layer in detector.named_modules()
            if isinstance(layer, QuantConv2d | QuantLinear) and (quantizer := _followed(layer, spec)) is not None
        ]
        self._num_codes = max(1, sum(one.code.numel() for one in self._tracked))
        self._done = torch.zeros((), dtype=torch.float64)
        self._share = torch.tensor(spec.target_share or 0.0, dtype=torch.float64)  # running, of the last steps
        self._factor = torch.ones((), dtype=torch.float64)
        self._since_row_2 = torch.zeros(2, dtype=torch.float64)  # shares added up, and their number

    @property
    def tensors(self) -> dict[str, Tensor]:
        own = {"done": self._done, "share": self._share, "factor": self._factor, "since_row": self._since_row_2}
        return own | {name: value for one in self._tracked for name, value in one.tensors.items()}

    @property
    def rate_factor(self) -> float:
        return float(self._factor)

    @torch.no_grad()
    def on_gradients(self) -> None:
        """Add the gradient of λ Σ (w^ - w)², w^ held and w within the grid: 2 λ (w - w^) there, 0 outside."""
        damping = self._spec.damping_at(self._progress)
        if not damping:
            return
        for one in self._tracked:
            if one.weight.grad is None:
                continue
            rounded = one.quantizer.dequantize(one.quantizer.codes(one.weight))
            low, high = (along_axis(end_G, rounded, one.quantizer.settings.axis) for end_G in one.quantizer.grid_range)
            inside = (one.weight >= low) & (one.weight <= high)
            one.weight.grad.add_((one.weight - rounded) * inside, alpha=2 * damping)

    @torch.no_grad()
    def after_step(self) -> None:
        """Compare the codes with those before the step; hold what is frozen, freeze what goes to and fro."""
        self._done += 1
        bound = self._spec.freeze_above_at(self._progress)
        changed = sum(self._follow(one, bound) for one in self._tracked)
        share = changed / self._num_codes
        self._since_row_2 += torch.tensor([share, 1.0], dtype=torch.float64)
        self._share.lerp_(torch.tensor(share, dtype=torch.float64), SHARE_MOMENTUM)
        target = self._spec.target_share_at(self._progress)
        if target is not None:
            wanted = math.log(max(target, 1e-12) / max(float(self._share), 1e-12))
            factor = float(self._factor) * math.exp(RATE_GAIN * min(1.0, max(-1.0, wanted)))
            self._factor.fill_(min(LARGEST_FACTOR, max(SMALLEST_FACTOR, factor)))

    def metrics(self) -> dict[str, float]:
        """Shares of the tracked codes: changed per step since the last call, oscillating and frozen now."""
        total, count = self._since_row_2.tolist()
        self._since_row_2.zero_()
        oscillating = sum(int((one.frequency > OSCILLATES_ABOVE).sum()) for one in self._tracked)
        frozen = sum(int(one.frozen.sum()) for one in self._tracked)
        return {
            "codes_changed": total / max(count, 1.0),
            "codes_oscillating": oscillating / self._num_codes,
            "codes_frozen": frozen / self._num_codes,
        }

    @property
    def _progress(self) -> float:
        return float(self._done) / self._num_steps

    def _follow(self, one: _Tracked, bound: float | None) -> int:
        """Number of codes that changed."""
        code = one.quantizer.codes(one.weight)
        code = torch.where(one.frozen, one.code, code)
        turn = (code - one.code).sign()
        has_changed = turn != 0
        goes_back = has_changed & (turn == -one.direction)
        one.frequency.lerp_(goes_back.to(one.frequency), self._spec.momentum)
        one.direction.copy_(torch.where(has_changed, turn, one.direction))
        one.mean.lerp_(code, self._spec.momentum)
        if bound is not None:
            starts = (one.frequency > bound) & ~one.frozen
            code = torch.where(starts, one.mean.round(), code)
            one.frozen.logical_or_(starts)
            one.weight.copy_(torch.where(one.frozen, one.quantizer.dequantize(code), one.weight))
        one.code.copy_(code)
        return int(has_changed.sum())


def _followed(layer: QuantConv2d | QuantLinear, spec: TransitionSpec) -> FakeQuantizer | None:
    """The quantizer of a weight that trains at few enough bits."""
    quantizer = layer.weight_quantizer
    if quantizer is None or not quantizer.is_on or not layer.weight.requires_grad:
        return None
    return quantizer if quantizer.grid.bits <= spec.max_bits else None
