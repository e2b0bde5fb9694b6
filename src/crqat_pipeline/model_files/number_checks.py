"""Numbers that cannot be right are refused by the name of their tensor."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from crqat_pipeline.quantization.parts import quantizers


def check_finite(tensors: Mapping[str, Tensor]) -> None:
    """Raises ValueError for the first tensor with NaN or infinity."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            count = int((~torch.isfinite(tensor)).sum())
            raise ValueError(
                f"Stored numbers are finite; tensor {name!r} has NaN or infinity in {count} of {tensor.numel()} "
                "places. Take an earlier checkpoint."
            )


def check_positive(name: str, scale_G: Tensor) -> None:
    """Raises ValueError for a step that is not above zero. Shape letters: G steps."""
    if not bool((scale_G > 0).all()):
        raise ValueError(
            f"Steps of a quantizer are above zero; tensor {name!r} has {float(scale_G.min()):.3g}. Export the model "
            "again."
        )


def check_codes(name: str, codes: Tensor, low: int, high: int) -> None:
    """Raises ValueError for codes outside [low, high]."""
    if codes.numel() and not (low <= int(codes.min()) and int(codes.max()) <= high):
        raise ValueError(
            f"Codes of {name!r} lie in [{low}, {high}]; the file has {int(codes.min())} to {int(codes.max())}. "
            "Export the model again."
        )


def check_module_numbers(model: nn.Module, stored: Mapping[str, Tensor]) -> None:
    """Raises ValueError for variances below zero, and for steps that are stored plainly and not above zero.

    stored: a state dict that fits `model`.
    """
    for name, module in model.named_modules():
        variance = stored.get(f"{name}.running_var") if isinstance(module, nn.modules.batchnorm._BatchNorm) else None
        if variance is not None and bool((variance < 0).any()):
            raise ValueError(
                f"Variances are not below zero; tensor '{name}.running_var' has {float(variance.min()):.3g}. Take an "
                "earlier checkpoint."
            )
    for name, quantizer in quantizers(model):
        if not quantizer.settings.is_log and bool(stored[f"{name}.is_calibrated"]):
            check_positive(f"{name}.step_G", stored[f"{name}.step_G"])
