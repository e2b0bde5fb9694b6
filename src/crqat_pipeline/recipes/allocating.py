"""Widths for a trained detector under a budget: sensitivities, the integer program, and what came of it.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import inf
from typing import Any

import torch
from torch import Tensor

from crqat_pipeline.allocation import MENUS, Allocation, AllocationSpec, allocate, sensitivities
from crqat_pipeline.allocation.latencies import read_latencies
from crqat_pipeline.allocation.layer_choices import LayerChoices, layer_choices
from crqat_pipeline.allocation.pairs import second_order
from crqat_pipeline.allocation.solve import MB, Limits
from crqat_pipeline.allocation.width_sensitivity import Sensitivities, calibrated
from crqat_pipeline.detection_data.evaluation_loader import evaluation_batches
from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.model_files.rebuilding import rebuild
from crqat_pipeline.quantization import CostReport, QuantSpec, cost, set_quantized
from crqat_pipeline.recipes.specs import RunSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.runtime.device import choose_device
from crqat_pipeline.runtime.seeding import derive_seed
from crqat_pipeline.sensitivity.answers import Answers, Batch, answers_of, movement
from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.structures.vocabulary import TextBank

Row = dict[str, Any]


@dataclass(frozen=True)
class AllocatedWidths:
    """widths: `quantization.widths` by layer. rows: one per layer, as told. metrics: cost, predicted and measured."""

    widths: dict[str, dict[str, int | str]]
    rows: list[Row]
    metrics: dict[str, float]


def allocate_widths(
    teacher: Checkpoint, calibration: TrainingData, quantization: QuantSpec, spec: AllocationSpec, run: RunSpec
) -> AllocatedWidths:
    """The best widths of the menu within the budget, for this teacher and the first calibration images.

    Each batch is asked about prompts of its own, drawn from the whole text bank. Raises ValueError for a budget that
    cannot be kept, with the smallest that can.
    """
    device = choose_device(run.device)
    loader = LoaderSpec(image_size_px=spec.image_size_px, batch_size=spec.batch_size)
    images = evaluation_batches(calibration.split, calibration.images, loader)
    prompts = drawn_prompts(calibration.text_bank, spec, run.seed)
    num_batches = -(-spec.images // spec.batch_size)
    batches = [
        (batch.images_B3HW.to(device), texts_KD.to(device))
        for batch, texts_KD in islice(zip(images, prompts, strict=False), num_batches)
    ]
    return allocate_for(rebuild(teacher).detector.to(device).eval(), batches, quantization, spec)


def allocate_for(
    detector: OpenVocabularyDetector, batches: Sequence[Batch], quantization: QuantSpec, spec: AllocationSpec
) -> AllocatedWidths:
    """The same for a detector in full precision, which is not changed, and batches of (images_B3HW, texts_KD)."""
    menu = MENUS[spec.menu]
    latencies = None if spec.latencies is None else read_latencies(spec.latencies)
    uniform_cost = cost(detector, quantization, spec.image_size_px, spec.num_prompts)

    def choices(found: Sensitivities) -> list[LayerChoices]:
        return layer_choices(detector, quantization, menu, found, spec.image_size_px, spec.num_prompts, latencies)

    unmeasured = choices(defaultdict(float))
    limits = _limits(detector, spec, uniform_cost, unmeasured)
    allocate(unmeasured, limits)  # costs are known before anything is measured, which takes minutes
    answers = answers_of(detector, batches)
    allocation = allocate(choices(sensitivities(detector, quantization, menu.bits, answers)), limits)
    allocated = quantization.model_copy(update={"widths": allocation.rules})
    own_cost = cost(detector, allocated, spec.image_size_px, spec.num_prompts)
    student = calibrated(detector, allocated, batches)
    metrics = {
        "size_mb": own_cost.size_mb,
        "bops_g": own_cost.bops_t * 1e3,
        "predicted": allocation.predicted,
        "measured": _moved(student, answers),
        "uniform_size_mb": uniform_cost.size_mb,
        "uniform_bops_g": uniform_cost.bops_t * 1e3,
        "uniform_measured": _moved(calibrated(detector, quantization, batches), answers),
    }
    if latencies:
        metrics["time_ms"] = allocation.time
    if spec.checks_pairs:
        metrics["predicted_with_pairs"] = second_order(student, answers).predicted
    widths = {rule.layers: rule.model_dump(include={"weight", "activation"}) for rule in allocation.rules}
    return AllocatedWidths(widths, _rows(allocation), metrics)


def drawn_prompts(bank: TextBank, spec: AllocationSpec, seed: int) -> Iterator[Tensor]:
    """Endless (asked_prompts, D) embeddings, drawn anew for every batch."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "bit_allocation"))
    while True:
        drawn = torch.randperm(len(bank.embeddings_KD), generator=generator)[: spec.asked_prompts]
        yield bank.embeddings_KD[drawn].float()


def _limits(
    detector: OpenVocabularyDetector, spec: AllocationSpec, uniform: CostReport, layers: Sequence[LayerChoices]
) -> Limits:
    """The budget without what no choice can change."""
    plain = cost(detector, None, spec.image_size_px, spec.num_prompts)
    names = {layer.name for layer in layers}
    other_bops = float(sum(row.bops for row in plain.layers if row.name not in names))
    other_bytes = plain.size_mb * MB - sum(row.stored_bytes for row in plain.layers if row.name in names)
    size_mb = uniform.size_mb if spec.budget.size_mb is None else spec.budget.size_mb
    bops = uniform.bops_t * 1e12 if spec.budget.bops_g is None else spec.budget.bops_g * 1e9
    if size_mb * MB <= other_bytes or bops <= other_bops:
        raise ValueError(
            f"What stays in full precision alone needs {other_bytes / MB:.4g} MB and {other_bops / 1e9:.4g} GBOPs; the "
            f"budget is {size_mb:.4g} MB and {bops / 1e9:.4g} GBOPs. Raise it, or shorten "
            "quantization.keep_full_precision."
        )
    return Limits(size_mb * MB - other_bytes, bops - other_bops, spec.budget.time_ms or inf)


def _moved(student: OpenVocabularyDetector, answers: Answers) -> float:
    """Movement of a calibrated student with everything on, without training; its quantizers stay on."""
    set_quantized(student, list(student.parts))
    return movement(student, answers)


def _rows(allocation: Allocation) -> list[Row]:
    return [
        {
            "layer": layer.name,
            "part": layer.part,
            "kind": layer.kind,
            "weight_bits": rule.weight,
            "activation_bits": rule.activation,
            "sensitivity": choice.sensitivity,
            "gbops": choice.bops / 1e9,
            "kilobytes": choice.stored / 1024,
        }
        for layer, choice, rule in zip(allocation.layers, allocation.chosen, allocation.rules, strict=True)
    ]
