"""A per-tensor integer grid as ONNX states it: unsigned codes, one scale, one zero point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer


@dataclass(frozen=True)
class CodeGrid:
    """value = (code - zero_point) * scale, codes 0 … max_code. scale: a float32 value.

    Signed grids are shifted to start at 0, which changes no value.
    """

    scale: float
    zero_point: int
    max_code: int

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and highest value, as float32 has them."""
        low, high = (np.float32(code * self.scale) for code in (-self.zero_point, self.max_code - self.zero_point))
        return float(low), float(high)


def grid_of(quantizer: FakeQuantizer) -> CodeGrid:
    """The grid of a per-tensor quantizer. Raises ValueError if it has a step per channel or head."""
    scale_G = quantizer.scale
    if scale_G.numel() != 1:
        raise ValueError(
            f"An integer convolution needs one step for its whole input; got {scale_G.numel()} steps. Train with "
            "activation granularity 'T', or export the 'fp32' form."
        )
    stored_G = quantizer.zero_point
    zero_point = 0 if stored_G is None else int(stored_G.item())
    low, high = quantizer.grid.quant_min, quantizer.grid.quant_max
    return CodeGrid(float(scale_G.item()), zero_point - low, high - low)
