"""Layers that stand still while others train: what does not change is computed once.

Shape letters: B images, C channels, H W cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from crqat_pipeline.quantization.layers import QuantBatchNorm2d, QuantConv2d


@contextmanager
def folded_frozen_layers(detector: nn.Module) -> Iterator[int]:
    """Within the block, frozen convolutions in full precision carry the frozen BatchNorm that follows them.

    Yields their number. Of a convolution and its BatchNorm nothing may train, no quantizer may be on, and statistics
    must stand still. Weights, state dict and modules stay as they are: only the way to the output is shorter, and
    gradients pass through one layer instead of two. Answers change by rounding. A convolution with a bias is left as
    it is: its output has other readers (the embedding before version 2's contrast).
    """
    modules = dict(detector.named_modules())
    pairs = [
        (conv, norm)
        for conv in modules.values()
        if isinstance(conv, QuantConv2d) and conv.batch_norm is not None
        for norm in (modules[conv.batch_norm],)
        if isinstance(norm, nn.BatchNorm2d) and _stands_still(conv, norm)
    ]
    try:
        for conv, norm in pairs:
            weight, bias_C = _folded(conv, norm)
            conv.forward = partial(_convolved, conv, weight, bias_C)  # type: ignore[method-assign]
            norm.forward = _as_it_came  # type: ignore[method-assign, assignment]
        yield len(pairs)
    finally:
        for pair in pairs:
            for module in pair:
                module.__dict__.pop("forward", None)


def _stands_still(conv: QuantConv2d, norm: nn.BatchNorm2d) -> bool:
    quantizers = [conv.weight_quantizer, conv.input_quantizer, conv.output_quantizer]
    if isinstance(norm, QuantBatchNorm2d):
        quantizers.append(norm.output_quantizer)
    return (
        conv.bias is None
        and not any(quantizer is not None and (quantizer.is_on or quantizer.is_observing) for quantizer in quantizers)
        and not any(parameter.requires_grad for module in (conv, norm) for parameter in module.parameters())
        and not norm.training
        and norm.running_mean is not None
        and norm.running_var is not None
    )


@torch.no_grad()
def _folded(conv: QuantConv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight times gain and the shift, by way of double precision."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain_C = (norm.running_var.double() + norm.eps).rsqrt()
    shift_C = -norm.running_mean.double() * gain_C
    if norm.affine:
        gain_C, shift_C = gain_C * norm.weight.double(), shift_C * norm.weight.double() + norm.bias.double()
    weight = (conv.weight.double() * gain_C[:, None, None, None]).to(conv.weight.dtype)
    return weight, shift_C.to(conv.weight.dtype)


def _convolved(conv: QuantConv2d, weight: Tensor, bias_C: Tensor, input_BCHW: Tensor) -> Tensor:
    output_BCHW: Tensor = conv._conv_forward(input_BCHW, weight, bias_C)
    return output_BCHW


def _as_it_came(output_BCHW: Tensor) -> Tensor:
    return output_BCHW
