"""Which layers of a student break: what every quantizer does to its own tensor, and to the answers.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.evaluation.correlation import ranks, spearman
from crqat_pipeline.model_files.rebuilding import rebuild
from crqat_pipeline.quantization.diagnostics import quantizer_rows
from crqat_pipeline.recipes.qat import calibration_inputs
from crqat_pipeline.recipes.specs import DiagnosticsSpec, RunSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.runtime.device import choose_device
from crqat_pipeline.sensitivity.groups import groups_of
from crqat_pipeline.sensitivity.leave_one_in import movements
from crqat_pipeline.structures.checkpoint import Checkpoint

Row = dict[str, Any]


@dataclass(frozen=True)
class Diagnosis:
    """layers: rows of quantizer_rows, each with its `movement`. groups: kind, group, number of quantizers, movement.

    metrics: movement (of everything on), largest_movement (of one quantizer), its rank by SQNR (1: the worst), and the
    rank correlation of noise and movement (1: SQNR names the same quantizers).
    """

    layers: list[Row]
    groups: list[Row]
    metrics: dict[str, float]


def inspect_student(
    student: Checkpoint, calibration: TrainingData, loader: LoaderSpec, spec: DiagnosticsSpec, run: RunSpec
) -> Diagnosis:
    """Every quantizer that is on: noise, clipping and levels on the calibration images; movement on the first of them.

    Movement is that of the answers to the prompts of the QAT images, from the same student with all quantizers off: no
    labels are read.
    """
    device = choose_device(run.device)
    detector = rebuild(student).detector.to(device)
    layers = quantizer_rows(detector, calibration_inputs(calibration, loader, device))
    split = calibration.split
    first = replace(calibration, split=split.with_images(split.images[: spec.images]))
    groups = groups_of(detector)
    subjects: dict[str, tuple[str, ...]] = {row["name"]: (row["name"],) for row in layers}
    subjects |= {f"{group.kind} {group.name}": group.quantizers for group in groups}
    found = movements(detector, subjects, list(calibration_inputs(first, loader, device)), "one quantizer at a time")
    layers = [row | {"movement": found[row["name"]]} for row in layers]
    rows = [
        {
            "kind": group.kind,
            "group": group.name,
            "quantizers": len(group.quantizers),
            "movement": found[f"{group.kind} {group.name}"],
        }
        for group in groups
    ]
    return Diagnosis(layers, rows, _summary(layers, rows))


def _summary(layers: Sequence[Row], groups: Sequence[Row]) -> dict[str, float]:
    noise = [-row["sqnr_db"] for row in layers]
    moved = [row["movement"] for row in layers]
    worst = max(range(len(layers)), key=moved.__getitem__)
    return {
        "movement": groups[0]["movement"],
        "largest_movement": moved[worst],
        "sqnr_rank_of_largest_movement": len(layers) + 1 - float(ranks(noise)[worst]),
        "sqnr_movement_correlation": spearman(noise, moved),
    }
