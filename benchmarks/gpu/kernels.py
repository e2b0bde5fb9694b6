"""Every fake-quantization kernel against float64, on one device: float32, bfloat16, channels_last, odd shapes.

    python benchmarks/gpu/kernels.py --device cuda --json out.json

Values lie off the ties between two codes, where kernels may round differently. An error is the largest difference of y,
dx, the step's and the zero point's gradient, relative to the largest value of each. A row that a kernel does not offer
says so. A kernel of C code is left out on CUDA; `TRITON_INTERPRET=1` runs that of Triton on a CPU.

Shape letters: G steps of a tensor.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import torch
from torch import Tensor

from crqat_pipeline.quantization.affine import along_axis
from crqat_pipeline.quantization.kernels.eager import fake_quantize_eager
from crqat_pipeline.quantization.kernels.settings import KernelSettings
from crqat_pipeline.quantization.kernels.table import KERNELS

CASES = {
    "per tensor": ((2, 16, 20, 20), None, torch.contiguous_format),
    "per channel": ((32, 16, 3, 3), 0, torch.contiguous_format),
    "per head": ((2, 8, 25, 32), 1, torch.contiguous_format),
    "channels_last": ((2, 24, 13, 17), None, torch.channels_last),
    "channels_last, per channel": ((3, 24, 5, 7), 1, torch.channels_last),
    "odd shape": ((1, 7, 11, 13), None, torch.contiguous_format),
    "one value": ((1,), None, torch.contiguous_format),
    "empty": ((0, 4, 3, 3), 1, torch.contiguous_format),
}
"""Name -> shape, axis of the steps, memory format (of tensors with four axes)."""

PARAMETRIZATIONS = {"plain": False, "log": True}
"""How a step is stored: itself, or its logarithm."""

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
BOUNDS = {"fp32": 1e-5, "bf16": 2e-2}
"""Largest error of a kernel that is right, relative to the largest value: rounding of the type."""


def compare(kernel: str, case: str, type_name: str, stored: str, device: str) -> float | str:
    """Largest error of y, dx, dstep and dzero; a text where the kernel does not offer it."""
    shape, axis, memory_format = CASES[case]
    dtype = TYPES[type_name]
    generator = torch.Generator().manual_seed(0)
    groups = 1 if axis is None else shape[axis]
    scale_G = 0.05 + 0.1 * torch.rand(groups, generator=generator)
    zero_G = torch.randint(2, 12, (groups,), generator=generator).float()
    x = off_ties(torch.randn(shape, generator=generator), scale_G, axis, dtype)
    gradient = torch.randn(shape, generator=generator).to(dtype)
    is_log = PARAMETRIZATIONS[stored]
    step_G = scale_G.log() if is_log else scale_G
    settings = KernelSettings(0, 15, axis, is_log=is_log, mask="rounded", step_gradient="lsq", gradient_scale="none")
    exact = answers(fake_quantize_eager, x.double(), step_G.double(), zero_G.double(), gradient.double(), settings)
    here = x.to(device, memory_format=memory_format if x.ndim == 4 else torch.preserve_format)
    try:
        got = answers(KERNELS[kernel], here, step_G.to(device), zero_G.to(device), gradient.to(device), settings)
    except (ValueError, RuntimeError, NotImplementedError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:80]}"
    return max(relative_error(one, other) for one, other in zip(got, exact, strict=True))


def off_ties(x: Tensor, scale_G: Tensor, axis: int | None, dtype: torch.dtype) -> Tensor:
    """Values whose code is the same in every type: 0.3 of a step above a code."""
    scale = along_axis(scale_G, x, axis)
    return (((x / scale).floor() + 0.3) * scale).to(dtype)


def answers(kernel: Any, x: Tensor, scale_G: Tensor, zero_G: Tensor, gradient: Tensor, settings: Any) -> list[Tensor]:
    leaves = [one.clone().requires_grad_() for one in (x, scale_G, zero_G)]
    y = kernel(*leaves, settings)
    y.backward(gradient)
    return [y.detach(), *(leaf.grad if leaf.grad is not None else torch.zeros_like(leaf) for leaf in leaves)]


def relative_error(got: Tensor, exact: Tensor) -> float:
    if not exact.numel():
        return 0.0
    difference = (got.detach().cpu().double() - exact).abs().max().item()
    return difference / max(exact.abs().max().item(), 1e-12)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--kernels", nargs="+", default=list(KERNELS), choices=list(KERNELS))
    parser.add_argument("--json", help="also write the errors to this file")
    options = parser.parse_args()
    kernels = [name for name in options.kernels if not (name == "fused" and options.device == "cuda")]  # C code
    errors = {
        f"{kernel}, {type_name}, {case}, {stored}": compare(kernel, case, type_name, stored, options.device)
        for kernel in kernels
        for type_name in TYPES
        for case in CASES
        for stored in PARAMETRIZATIONS
        if not (kernel == "fused" and type_name != "fp32")
    }
    for name, error in errors.items():
        print(f"{name:<56}{error if isinstance(error, str) else f'{error:.1e}'}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"errors": errors, "bounds": BOUNDS}, file, indent=2)


if __name__ == "__main__":
    main()
