"""Borrow a detector for a look: eval mode and switches, put back afterwards whatever happens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn

from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer


@contextmanager
def eval_mode(detector: nn.Module) -> Iterator[None]:
    """Every module in eval mode inside the block, each in its own mode again afterwards."""
    modes = {module: module.training for module in detector.modules()}
    detector.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def switched_off(quantizers: Iterable[FakeQuantizer]) -> Iterator[None]:
    """These quantizers off inside the block, each in its own state again afterwards."""
    switches = {quantizer: quantizer.is_on for quantizer in quantizers}
    for quantizer in switches:
        quantizer.is_on = False
    try:
        yield
    finally:
        for quantizer, is_on in switches.items():
            quantizer.is_on = is_on
