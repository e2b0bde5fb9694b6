"""Which part of a detector a module belongs to, and its quantizers by name."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Literal

from torch import nn

from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer
from crqat_pipeline.quantization.kernels.broadcast import on_grid_only
from crqat_pipeline.structures.quantization_contract import contract_of

WEIGHT_QUANTIZER = ".weight_quantizer"
"""How the names of the quantizers of weights end."""


def part_of(detector: nn.Module, name: str) -> str | None:
    """The part whose prefixes cover this module name, None if there is none."""
    for part, prefixes in contract_of(detector).parts.items():
        if any(not prefix or name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes):
            return part
    return None


def check_parts(detector: nn.Module, parts: Collection[str]) -> None:
    """Raises ValueError for a part that the detector does not have."""
    known = contract_of(detector).parts
    unknown = [part for part in parts if part not in known]
    if isinstance(parts, str) or unknown:
        raise ValueError(
            f"Parts must be a collection of names out of {', '.join(known)}; got {parts!r}. "
            f"Example: ['{next(iter(known))}']."
        )


def quantizers(detector: nn.Module) -> Iterator[tuple[str, FakeQuantizer]]:
    """Every fake quantizer with its name, in the order of the modules."""
    for name, module in detector.named_modules():
        if isinstance(module, FakeQuantizer):
            yield name, module


def quantizers_of(detector: nn.Module, parts: Collection[str]) -> Iterator[tuple[str, FakeQuantizer]]:
    """The quantizers of these parts. Raises ValueError for unknown parts."""
    check_parts(detector, parts)
    for name, quantizer in quantizers(detector):
        if part_of(detector, name) in parts:
            yield name, quantizer


def check_ready(detector: nn.Module) -> None:
    """Raises ValueError unless some quantizers are on and all of these are calibrated."""
    switched = [(name, quantizer) for name, quantizer in quantizers(detector) if quantizer.is_on]
    if not switched:
        raise ValueError("No quantizer is switched on: nothing to pack or measure. Call set_quantized first.")
    missing = [name for name, quantizer in switched if not quantizer.is_ready]
    if missing:
        raise ValueError(
            f"{len(missing)} quantizers are on but not calibrated, first {missing[0]!r}. Call calibrate, or load a "
            "state dict of a calibrated detector."
        )


def set_quantized(
    detector: nn.Module, parts: Collection[str], quantizes: Literal["all", "activations"] = "all"
) -> None:
    """Switch the quantizers of exactly these parts on, all others off. quantizes "activations": not those of weights.

    Raises ValueError for unknown parts, and for a detector that `prepare` has not seen.
    """
    check_parts(detector, parts)
    found = False
    for name, quantizer in quantizers(detector):
        is_left_out = quantizes == "activations" and name.endswith(WEIGHT_QUANTIZER)
        quantizer.is_on = part_of(detector, name) in parts and not is_left_out
        found = True
    if not found and parts:
        raise ValueError("This detector has no quantizers to switch on; call prepare(detector, spec) first.")


def quantizer_parameters(detector: nn.Module) -> list[nn.Parameter]:
    """Learned steps and zero points of all quantizers; shared quantizers count once."""
    return [parameter for _, quantizer in quantizers(detector) for parameter in quantizer.parameters()]


def hold_zero_points(detector: nn.Module) -> None:
    """Drop what would push a learned zero point further off its grid, once its gradient is that of the whole batch.

    The kernels do so by themselves where they see the whole batch; doing it again changes nothing.
    """
    for _, quantizer in quantizers(detector):
        zero_point_G = quantizer.zero_point_G
        if isinstance(zero_point_G, nn.Parameter) and zero_point_G.grad is not None:
            held_G = on_grid_only(zero_point_G.detach(), zero_point_G.grad, quantizer.settings)
            zero_point_G.grad.copy_(held_G)
