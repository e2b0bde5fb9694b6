"""KERNELS: how a fake quantizer computes; all agree, and "auto" takes the fastest that runs on the tensor at hand.

fused: C code, float32 on a CPU. eager: everywhere. compiled: torch.compile, for accelerators and long runs.
composite, native: cross-checks.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from crqat_pipeline.quantization.kernels.compiled import fake_quantize_compiled
from crqat_pipeline.quantization.kernels.cross_checks import fake_quantize_composite, fake_quantize_native
from crqat_pipeline.quantization.kernels.eager import fake_quantize_eager
from crqat_pipeline.quantization.kernels.fused import fake_quantize_auto, fake_quantize_fused
from crqat_pipeline.quantization.kernels.settings import KernelSettings

Kernel = Callable[[Tensor, Tensor, Tensor | None, KernelSettings], Tensor]

KERNELS: dict[str, Kernel] = {
    "auto": fake_quantize_auto,
    "fused": fake_quantize_fused,
    "eager": fake_quantize_eager,
    "compiled": fake_quantize_compiled,
    "composite": fake_quantize_composite,
    "native": fake_quantize_native,
}
