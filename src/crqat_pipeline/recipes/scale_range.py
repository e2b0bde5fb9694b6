"""The range of a student's quantizer steps: one glance tells a collapsed or exploding step."""

from __future__ import annotations

import torch

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.quantization.parts import quantizers


@torch.no_grad()
def scale_range(detector: OpenVocabularyDetector) -> dict[str, float]:
    """scale_min and scale_max over weights and over activations of the quantizers that are on."""
    steps: dict[str, list[torch.Tensor]] = {"weight": [], "activation": []}
    for name, quantizer in quantizers(detector):
        if quantizer.is_on:
            kind = "weight" if name.endswith("weight_quantizer") else "activation"
            steps[kind].append(quantizer.scale.flatten())
    metrics: dict[str, float] = {}
    for kind, values in steps.items():
        if values:
            all_steps = torch.cat(values)
            metrics |= {f"{kind}_scale_min": float(all_steps.min()), f"{kind}_scale_max": float(all_steps.max())}
    return metrics
