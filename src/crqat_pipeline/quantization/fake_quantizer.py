"""The module that stands for one quantized tensor: its grid, its steps, and whether it is on.

Shape letters: G steps of a tensor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from crqat_pipeline.quantization.affine import dequantize, quantize
from crqat_pipeline.quantization.grid import IntegerGrid
from crqat_pipeline.quantization.initialization_rules import NEEDS_HISTOGRAM
from crqat_pipeline.quantization.kernels.settings import (
    KernelSettings,
    StepGradient,
    integer_zero_point,
    positive_scale,
)
from crqat_pipeline.quantization.kernels.table import KERNELS
from crqat_pipeline.quantization.observers import Observer


@dataclass(frozen=True)
class QuantizerPlan:
    """The options of one quantizer, which keeps them and reads them where they act.

    settings: what the kernel reads. num_steps None: known at calibration only. range_momentum: of a grid that follows
    the data.
    """

    grid: IntegerGrid
    settings: KernelSettings
    num_steps: int | None
    kernel: str
    initialization: str
    percentile: float
    range_momentum: float

    def with_step_gradient(self, step_gradient: StepGradient) -> QuantizerPlan:
        """The same for a row of FAKE_QUANTIZERS whose steps learn by another gradient."""
        return replace(self, settings=self.settings._replace(step_gradient=step_gradient))


class FakeQuantizer(nn.Module):
    """Passes a tensor through unchanged (off), to an observer (calibrating), or onto its grid (on).

    step_G holds the scale, or its logarithm. learns_step, learns_zero_point: parameter or buffer.
    axis: of the steps in the tensor, None for one step. num_steps None: known at calibration or loading only (heads).
    """

    step_G: Tensor
    zero_point_G: Tensor | None
    is_calibrated: Tensor

    def __init__(self, plan: QuantizerPlan, *, learns_step: bool, learns_zero_point: bool = False) -> None:
        super().__init__()
        self.plan, self.num_steps = plan, plan.num_steps
        self.is_on = self.is_observing = False
        self.observer: Observer | None = None
        num_values = plan.num_steps or 1
        self._own("step_G", torch.zeros(num_values) if plan.settings.is_log else torch.ones(num_values), learns_step)
        if plan.grid.is_symmetric:
            self.zero_point_G = None
        else:
            self._own("zero_point_G", torch.zeros(num_values), learns_zero_point)
        self.register_buffer("is_calibrated", torch.tensor(False))
        self.is_ready = False

    def _own(self, name: str, value: Tensor, is_learned: bool) -> None:
        if is_learned:
            self.register_parameter(name, nn.Parameter(value))
        else:
            self.register_buffer(name, value)

    @property
    def grid(self) -> IntegerGrid:
        return self.plan.grid

    @property
    def settings(self) -> KernelSettings:
        return self.plan.settings

    @property
    def scale(self) -> Tensor:
        """The positive steps in use, detached."""
        return positive_scale(self.step_G.detach(), self.settings.is_log)

    @property
    def zero_point(self) -> Tensor | None:
        """The integer zero points in use, detached; None for a symmetric grid."""
        if self.zero_point_G is None:
            return None
        return integer_zero_point(self.zero_point_G.detach(), self.settings)

    @property
    def grid_range(self) -> tuple[Tensor, Tensor]:
        """Smallest and largest value of the grid, detached."""
        scale_G, zero_point_G = self.scale, self.zero_point
        shift_G = torch.zeros_like(scale_G) if zero_point_G is None else zero_point_G
        return (self.grid.quant_min - shift_G) * scale_G, (self.grid.quant_max - shift_G) * scale_G

    def set_qparams(self, scale_G: Tensor, zero_point_G: Tensor) -> None:
        """Store steps and zero points (G,) and mark the quantizer as calibrated."""
        with torch.no_grad():
            self._resize(scale_G.numel())
            stored_G = scale_G.log() if self.settings.is_log else scale_G
            self.step_G.copy_(stored_G)
            if self.zero_point_G is not None:
                self.zero_point_G.copy_(zero_point_G)
            self.is_calibrated.fill_(True)
        self.is_ready = True

    def codes(self, x: Tensor) -> Tensor:
        """Integer codes of x, as floats."""
        return quantize(x.detach(), self.scale, self.zero_point, self.grid, self.settings.axis)

    def dequantize(self, codes: Tensor) -> Tensor:
        return dequantize(codes, self.scale, self.zero_point, self.settings.axis)

    def forward(self, x: Tensor) -> Tensor:
        if self.is_observing:
            self._observe(x)
            return x
        if not self.is_on:
            return x
        if not self.is_ready:
            raise ValueError(
                "A quantizer was switched on before it was calibrated. Call calibrate(detector, batches, parts) "
                "for its part, or load a state dict of a calibrated detector."
            )
        return KERNELS[self.plan.kernel](x, self.step_G, self.zero_point_G, self.settings)

    def stop_observing(self) -> None:
        """Forget what was observed."""
        self.is_observing, self.observer = False, None

    def extra_repr(self) -> str:
        return (
            f"bits={self.grid.bits}, symmetric={self.grid.is_symmetric}, axis={self.settings.axis}, "
            f"steps={self.num_steps}, on={self.is_on}"
        )

    def _observe(self, x: Tensor) -> None:
        if self.observer is None:
            axis = self.settings.axis
            num_steps = 1 if axis is None else self.num_steps or x.shape[axis]
            has_histogram = self.plan.initialization in NEEDS_HISTOGRAM
            self.observer = Observer(axis, num_steps, has_histogram=has_histogram)
        self.observer.update(x)

    def _resize(self, num_steps: int) -> None:
        for name in ("step_G", "zero_point_G"):
            tensor = getattr(self, name)
            if tensor is not None and tensor.numel() != num_steps:
                tensor.grad = None
                tensor.data = tensor.new_zeros(num_steps)
        self.num_steps = num_steps

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        stored = state_dict.get(f"{prefix}step_G")
        if self.num_steps is None and stored is not None:
            self._resize(stored.numel())
        super()._load_from_state_dict(state_dict, prefix, *args)
        self.is_ready = bool(self.is_calibrated)
