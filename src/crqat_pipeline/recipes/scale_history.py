"""The steps of a student's quantizers over a stage: their range for the curves, each of them for the heat map."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.quantization.diagnostics import scale_rows
from crqat_pipeline.quantization.parts import quantizers

PREFIX = "scale/"


@torch.no_grad()
def scale_range(detector: OpenVocabularyDetector) -> dict[str, float]:
    """Smallest and largest step of weights and of activations, over the quantizers that are on."""
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


def scale_details(detector: OpenVocabularyDetector) -> dict[str, float]:
    """Mean step of every calibrated quantizer, under names that split_history takes out again."""
    return {f"{PREFIX}{row['name']}": float(row["scale_mean"]) for row in scale_rows(detector, step=0)}


def split_history(
    rows: Sequence[dict[str, float]],
) -> tuple[list[dict[str, float]], list[dict[str, float | str]]]:
    """(loss curves, one row per step and quantizer: step, name, scale_mean)."""
    curves = [{name: value for name, value in row.items() if not name.startswith(PREFIX)} for row in rows]
    scales: list[dict[str, float | str]] = [
        {"step": row["step"], "name": name.removeprefix(PREFIX), "scale_mean": value}
        for row in rows
        for name, value in row.items()
        if name.startswith(PREFIX)
    ]
    return curves, scales
