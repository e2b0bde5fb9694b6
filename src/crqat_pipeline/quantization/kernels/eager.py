"""The default kernel: eager operations in place, and no more passes over memory than needed."""

from __future__ import annotations

from torch import Tensor

from crqat_pipeline.quantization.kernels.blocked import BlockedFakeQuantize, is_worth_blocking
from crqat_pipeline.quantization.kernels.broadcast import BroadcastFakeQuantize
from crqat_pipeline.quantization.kernels.empty import fake_quantize_nothing
from crqat_pipeline.quantization.kernels.layout import dense
from crqat_pipeline.quantization.kernels.settings import KernelSettings


def fake_quantize_eager(x: Tensor, step_G: Tensor, zero_point_G: Tensor | None, settings: KernelSettings) -> Tensor:
    """Fake-quantize x; y has the shape and dtype of x."""
    if x.numel() == 0:
        return fake_quantize_nothing(x, step_G, zero_point_G)
    x = dense(x)
    function = BlockedFakeQuantize if is_worth_blocking(x, step_G, settings) else BroadcastFakeQuantize
    result: Tensor = function.apply(x, step_G, zero_point_G, settings)  # type: ignore[no-untyped-call]
    return result
