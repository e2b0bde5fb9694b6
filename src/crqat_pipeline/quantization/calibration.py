"""First steps and zero points of a part's quantizers: weights from themselves, the rest from calibration batches.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import torch
from torch import Tensor, nn

from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer
from crqat_pipeline.quantization.initialization_rules import INITIALIZATIONS
from crqat_pipeline.quantization.layers import QuantConv2d, QuantLinear
from crqat_pipeline.quantization.modes import eval_mode, switched_off
from crqat_pipeline.quantization.observers import grouped
from crqat_pipeline.quantization.parts import part_of, quantizers_of
from crqat_pipeline.quantization.weight_steps import initialize_weight


def calibrate(detector: nn.Module, batches: Iterable[tuple[Tensor, ...]], parts: Collection[str]) -> None:
    """Run batches, such as (images_B3HW, text_embeddings), through the model; initialize the quantizers of `parts`.

    Deterministic, in eval mode, without gradient, in memory that does not grow with the number of images. The
    quantizers of `parts` are off while they observe; those of other parts keep their state. Raises ValueError for
    unknown parts, no batches, non-finite activations, and quantizers that saw no data.
    """
    observing = dict(quantizers_of(detector, parts))
    weights = set(initialize_weights(detector, parts))
    waiting = {name: quantizer for name, quantizer in observing.items() if quantizer not in weights}
    try:
        for quantizer in waiting.values():
            quantizer.is_observing = True
        with eval_mode(detector), switched_off(weights):
            num_batches = _run(detector, batches)
        _initialize(waiting, num_batches)
    finally:
        for quantizer in waiting.values():
            quantizer.stop_observing()


def _run(detector: nn.Module, batches: Iterable[tuple[Tensor, ...]]) -> int:
    num_batches = 0
    with torch.no_grad():
        for inputs in batches:
            detector(*inputs)
            num_batches += 1
    return num_batches


def initialize_weights(detector: nn.Module, parts: Collection[str]) -> list[FakeQuantizer]:
    """First steps of the weights of `parts`, from the weights as they are; their quantizers."""
    initialized = []
    for name, layer in detector.named_modules():
        if isinstance(layer, QuantConv2d | QuantLinear) and part_of(detector, name) in parts:
            quantizer = layer.weight_quantizer
            if quantizer is not None:
                weight_GN = grouped(layer.weight.detach(), quantizer.settings.axis, quantizer.num_steps or 1)
                quantizer.set_qparams(
                    *initialize_weight(
                        weight_GN, quantizer.grid, quantizer.plan.initialization, quantizer.plan.percentile
                    )
                )
                initialized.append(quantizer)
    return initialized


def _initialize(waiting: dict[str, FakeQuantizer], num_batches: int) -> None:
    if num_batches == 0 and waiting:
        raise ValueError("Calibration needs at least one batch of images; got none. Check the calibration split.")
    unseen = [name for name, quantizer in waiting.items() if quantizer.observer is None]
    if unseen:
        raise ValueError(
            f"{len(unseen)} quantizers saw no data in calibration, first {unseen[0]!r}. Give batches that reach them, "
            "or add their layer to keep_full_precision."
        )
    for quantizer in waiting.values():
        observer = quantizer.observer
        assert observer is not None
        rule = INITIALIZATIONS[quantizer.plan.initialization]
        quantizer.set_qparams(*rule(observer, quantizer.grid, quantizer.plan.percentile))
