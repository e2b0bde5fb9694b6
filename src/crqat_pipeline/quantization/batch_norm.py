"""BatchNorm in quantization-aware training: frozen, live or re-estimated statistics."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from crqat_pipeline.quantization.modes import eval_mode
from crqat_pipeline.quantization.parts import check_parts, part_of

BatchNormPolicy = Literal["frozen", "live"]


def set_batch_norm(detector: nn.Module, policy: BatchNormPolicy, parts: Collection[str]) -> None:
    """Set the statistics of the BatchNorms of `parts`; call it after every `detector.train()`.

    "frozen": running statistics are used and stay as they are (safe for small batches); gain and shift still learn.
    "live": batch statistics are used and running ones updated. Raises ValueError for an unknown policy or part.
    """
    if policy not in ("frozen", "live"):
        raise ValueError(f"BatchNorm policy must be 'frozen' or 'live'; got {policy!r}.")
    for batch_norm in _batch_norms(detector, parts):
        batch_norm.train(policy == "live")


def reestimate_batch_norm(detector: nn.Module, batches: Iterable[tuple[Tensor, ...]], parts: Collection[str]) -> int:
    """Replace running statistics of `parts` by the average over batches of the model's inputs.

    Weights and quantizers stay as they are; about 50 batches are enough (Nagel et al., ICML 2022). Returns the number
    of batches; raises ValueError if there are none, in which case the old statistics stay.
    """
    chosen = list(_batch_norms(detector, parts))
    momenta = [batch_norm.momentum for batch_norm in chosen]
    num_batches = 0
    try:
        with eval_mode(detector), torch.no_grad():
            for inputs in batches:
                if num_batches == 0:
                    _start(chosen)
                detector(*inputs)
                num_batches += 1
    finally:
        for batch_norm, momentum in zip(chosen, momenta, strict=True):
            batch_norm.momentum = momentum
    if num_batches == 0:
        raise ValueError("Re-estimating BatchNorm needs at least one batch; got none. Check the calibration split.")
    return num_batches


def _start(batch_norms: list[nn.BatchNorm2d]) -> None:
    for batch_norm in batch_norms:
        batch_norm.reset_running_stats()
        batch_norm.momentum = None  # cumulative average
        batch_norm.train()


def _batch_norms(detector: nn.Module, parts: Collection[str]) -> Iterator[nn.BatchNorm2d]:
    check_parts(detector, parts)
    for name, module in detector.named_modules():
        if isinstance(module, nn.BatchNorm2d) and part_of(detector, name) in parts:
            yield module
