"""The row "auto": the fused kernel of the tensor's device where it can run, else the eager one."""

from __future__ import annotations

from torch import Tensor

from crqat_pipeline.quantization.kernels.eager import fake_quantize_eager
from crqat_pipeline.quantization.kernels.fused import fake_quantize_fused, is_fusable
from crqat_pipeline.quantization.kernels.fused_library import load_fused
from crqat_pipeline.quantization.kernels.settings import KernelSettings
from crqat_pipeline.quantization.kernels.triton_fused import fake_quantize_triton, is_for_triton


def fake_quantize_auto(x: Tensor, step_G: Tensor, zero_point_G: Tensor | None, settings: KernelSettings) -> Tensor:
    """Fake-quantize x; y has the shape and dtype of x."""
    if is_fusable(x, step_G) and not isinstance(load_fused(), str):
        return fake_quantize_fused(x, step_G, zero_point_G, settings)
    if x.is_cuda and is_for_triton(x, step_G):
        return fake_quantize_triton(x, step_G, zero_point_G, settings)
    return fake_quantize_eager(x, step_G, zero_point_G, settings)
