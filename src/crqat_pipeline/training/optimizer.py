"""AdamW with the groups that quantization-aware training needs, and rates as a function of the step alone."""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from torch import nn

from crqat_pipeline.training.spec import OptimizationSpec


def build_optimizer(
    model: nn.Module, spec: OptimizationSpec, quantizer_parameters: Collection[nn.Parameter] = ()
) -> torch.optim.AdamW:
    """Three groups over the parameters that require gradients: decayed matrices, undecayed vectors, quantizers.

    Each group carries `rate_factor`, its rate relative to the weights. Raises ValueError when nothing is trainable.
    """
    quantizer_ids = {id(parameter) for parameter in quantizer_parameters}
    decayed, undecayed, quantizers = [], [], []
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        if id(parameter) in quantizer_ids:
            quantizers.append(parameter)
        elif parameter.ndim > 1:
            decayed.append(parameter)
        else:
            undecayed.append(parameter)
    groups = [
        {"name": "weights", "params": decayed, "weight_decay": spec.weight_decay, "rate_factor": 1.0},
        {"name": "vectors", "params": undecayed, "weight_decay": 0.0, "rate_factor": 1.0},
        {"name": "quantizers", "params": quantizers, "weight_decay": 0.0, "rate_factor": spec.quantizer_rate_factor},
    ]
    groups = [group for group in groups if group["params"]]
    if not groups:
        raise ValueError("Nothing to train: no parameter requires a gradient. Name at least one part of the detector.")
    return torch.optim.AdamW(groups, lr=spec.learning_rate, fused=True)


def learning_rate(spec: OptimizationSpec, step: int) -> float:
    """Rate of the weights at a 0-based step: linear warm-up, then constant or half a cosine to 0."""
    if step < spec.warmup_steps:
        return spec.learning_rate * (step + 1) / spec.warmup_steps
    if spec.schedule == "constant":
        return spec.learning_rate
    progress = (step - spec.warmup_steps) / max(1, spec.num_steps - spec.warmup_steps)
    return spec.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group the rate of the weights times its `rate_factor`."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_factor"]
