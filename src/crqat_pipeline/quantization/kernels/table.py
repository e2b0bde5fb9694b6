"""KERNELS: how a fake quantizer computes; all agree, and "auto" takes the fastest that runs on the tensor at hand.

fused: C code, float32 on a CPU. triton: the same on a GPU. eager: everywhere. compiled: torch.compile.
composite, native: cross-checks.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from crqat_pipeline.quantization.kernels.compiled import fake_quantize_compiled
from crqat_pipeline.quantization.kernels.cross_checks import fake_quantize_composite, fake_quantize_native
from crqat_pipeline.quantization.kernels.eager import fake_quantize_eager
from crqat_pipeline.quantization.kernels.fastest import fake_quantize_auto
from crqat_pipeline.quantization.kernels.fused import fake_quantize_fused
from crqat_pipeline.quantization.kernels.settings import KernelSettings
from crqat_pipeline.quantization.kernels.triton_fused import fake_quantize_triton

Kernel = Callable[[Tensor, Tensor, Tensor | None, KernelSettings], Tensor]

KERNELS: dict[str, Kernel] = {
    "auto": fake_quantize_auto,
    "fused": fake_quantize_fused,
    "triton": fake_quantize_triton,
    "eager": fake_quantize_eager,
    "compiled": fake_quantize_compiled,
    "composite": fake_quantize_composite,
    "native": fake_quantize_native,
}
