"""Which layer breaks: what every quantizer does to the tensors that pass through it.

Shape letters: K codes of a grid.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf, log10
from typing import Any

import torch
from torch import Tensor, nn

from crqat_pipeline.quantization.affine import along_axis
from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer
from crqat_pipeline.quantization.modes import eval_mode
from crqat_pipeline.quantization.parts import check_ready, part_of, quantizers

Row = dict[str, Any]


def quantizer_rows(detector: nn.Module, batches: Iterable[tuple[Tensor, ...]]) -> list[Row]:
    """One row per quantizer that is on, measured over batches of the detector's inputs.

    name, layer, part, tensor (weight, input, output or the operand's name), bits; sqnr_db: 10 log10(signal / noise),
    inf without noise; clipping_rate: share of values more than half a step outside the grid, in [0, 1]; used_levels of
    num_levels: codes that occur; scale_min, scale_mean, scale_max, zero_point_mean. Raises ValueError if nothing is
    on, or something that is on is not calibrated.
    """
    check_ready(detector)
    tallies = {name: Tally(quantizer) for name, quantizer in quantizers(detector) if quantizer.is_on}
    handles = [tally.quantizer.register_forward_pre_hook(tally.hook) for tally in tallies.values()]
    try:
        with eval_mode(detector), torch.no_grad():
            for inputs in batches:
                detector(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return [
        {**_place(detector, name), **tally.row(), **_scales(tally.quantizer)}
        for name, tally in tallies.items()
        if tally.count
    ]


def scale_rows(detector: nn.Module, step: int) -> list[Row]:
    """One row per calibrated quantizer: step, name, scale_min, scale_mean, scale_max, zero_point_mean (the history)."""
    return [
        {"step": step, "name": name, **_scales(quantizer)}
        for name, quantizer in quantizers(detector)
        if quantizer.is_ready
    ]


@dataclass
class Tally:
    """Running sums of what one quantizer does."""

    quantizer: FakeQuantizer
    count: int = 0
    signal: float = 0.0
    noise: float = 0.0
    clipped: int = 0
    used_K: Tensor = field(default_factory=lambda: torch.zeros(1 << 8, dtype=torch.bool))

    def hook(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Take in one input of the quantizer."""
        x = inputs[0].detach().float()
        if x.numel() == 0:
            return
        grid = self.quantizer.grid
        codes = self.quantizer.codes(x)
        values = self.quantizer.dequantize(codes)
        self.count += x.numel()
        self.signal += float(x.double().square().sum())
        self.noise += float((values - x).double().square().sum())
        is_edge = (codes == grid.quant_min) | (codes == grid.quant_max)
        half_step = along_axis(self.quantizer.scale, x, self.quantizer.settings.axis) * 0.5001
        self.clipped += int((is_edge & ((values - x).abs() > half_step)).sum())
        self.used_K[(torch.unique(codes).long() - grid.quant_min).cpu()] = True

    def row(self) -> Row:
        """The figures of quantizer_rows that come from data."""
        grid = self.quantizer.grid
        return {
            "bits": grid.bits,
            "sqnr_db": 10.0 * log10(self.signal / self.noise) if self.noise and self.signal else inf,
            "clipping_rate": self.clipped / self.count,
            "used_levels": int(self.used_K.sum()),
            "num_levels": grid.quant_max - grid.quant_min + 1,
        }


def _place(detector: nn.Module, name: str) -> Row:
    layer, _, child = name.rpartition(".")
    tensor = child.removesuffix("_quantizer").removesuffix("_operand")
    return {"name": name, "layer": layer, "part": part_of(detector, name) or "-", "tensor": tensor}


def _scales(quantizer: FakeQuantizer) -> Row:
    scale_G, zero_point_G = quantizer.scale, quantizer.zero_point
    return {
        "scale_min": float(scale_G.min()),
        "scale_mean": float(scale_G.mean()),
        "scale_max": float(scale_G.max()),
        "zero_point_mean": 0.0 if zero_point_G is None else float(zero_point_G.mean()),
    }
