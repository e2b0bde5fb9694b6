"""Numbers that cannot be right are refused by the name of their tensor."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from crqat_pipeline.model_files.number_limits import LARGEST_ACTIVATION, check_range
from crqat_pipeline.quantization.affine import SMALLEST_SCALE
from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer
from crqat_pipeline.quantization.kernels.settings import positive_scale
from crqat_pipeline.quantization.layers import QuantConv2d, QuantLinear
from crqat_pipeline.quantization.parts import quantizers

LOG_STEPS = (-50.0, 20.0)
"""Of a step that is stored as its logarithm; beyond 1e-8 and 1e8 it counts as these."""
WIDEST, NARROWEST = 100.0, 1000.0
"""Between the end of a grid and the largest of its weights. LSQ begins within 6 and, with outliers, 50; steps move less
in training."""
SMALLEST_WEIGHT = 0.02
"""Of a layer that may start at zero: a grid of this times WIDEST fits whatever it holds."""
SMALLEST_REACH = 300 * SMALLEST_SCALE


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
    """Raises ValueError for steps and zero points that cannot belong to the weights and codes beside them.

    stored: a state dict that fits `model`, within check_limits.
    """
    for name, quantizer in quantizers(model):
        if bool(stored[f"{name}.is_calibrated"]):
            _check_quantizer(name, quantizer, stored)
    for name, module in model.named_modules():
        own = module.weight_quantizer if isinstance(module, QuantConv2d | QuantLinear) else None
        key = f"{name}.weight_quantizer"
        if own is not None and bool(stored[f"{key}.is_calibrated"]):
            reach_G = _reach(own, stored[f"{key}.step_G"])
            _check_against_weights(f"{key}.step_G", reach_G, stored[f"{name}.weight"])


def _check_quantizer(name: str, quantizer: FakeQuantizer, stored: Mapping[str, Tensor]) -> None:
    step_G = stored[f"{name}.step_G"]
    if quantizer.settings.is_log:
        check_range(f"{name}.step_G", step_G, *LOG_STEPS)
    else:
        check_positive(f"{name}.step_G", step_G)
    reach_G, limit = _reach(quantizer, step_G), LARGEST_ACTIVATION
    if bool((reach_G > limit).any()):
        raise ValueError(
            f"A grid reaches to {limit:g} at most; that of tensor '{name}.step_G' reaches to "
            f"{float(reach_G.max()):.3g}. Take an earlier checkpoint."
        )
    if quantizer.zero_point_G is not None:
        low, high = quantizer.grid.quant_min, quantizer.grid.quant_max
        is_learned = isinstance(quantizer.zero_point_G, nn.Parameter)
        spare = high - low if is_learned else 0  # a learned one may stand beside the grid, and counts as its edge
        check_range(f"{name}.zero_point_G", stored[f"{name}.zero_point_G"], low - spare, high + spare)


def _reach(quantizer: FakeQuantizer, step_G: Tensor) -> Tensor:
    """The largest value of each grid: a step times the largest code."""
    grid = quantizer.grid
    scale_G = positive_scale(step_G.detach().float(), quantizer.settings.is_log)
    return scale_G * max(abs(grid.quant_min), abs(grid.quant_max))


def _check_against_weights(name: str, reach_G: Tensor, weight: Tensor) -> None:
    """A grid ends where its weights end, within a factor no calibration or training explains.

    Channels of zeros, and steps at their smallest, which is how a step that training drove to zero is written, say
    nothing of the other. Shape letters: G steps.
    """
    largest_G = weight.detach().float().abs().reshape(reach_G.numel(), -1).amax(dim=1)
    too_wide = reach_G > WIDEST * largest_G.max().clamp(min=SMALLEST_WEIGHT)
    too_narrow = (reach_G * NARROWEST < largest_G) & (reach_G > SMALLEST_REACH)
    if bool(too_wide.any()) or bool(too_narrow.any()):
        row = int((too_wide | too_narrow).nonzero()[0])
        raise ValueError(
            f"The grid of a weight ends about where its weights end; tensor {name!r} has one that ends at "
            f"{float(reach_G[row]):.3g}, and weights up to {float(largest_G[row]):.3g}. Take an earlier checkpoint."
        )
