"""How many steps each training stage takes, and how many GPU-hours, under a stated assumption."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.dry_run.inputs import QatImages
from crqat_pipeline.quantization.cost import cost
from crqat_pipeline.recipes.specs import NamedBuilderSpec, QatStageSpec
from crqat_pipeline.training.spec import OptimizationSpec

PAPER_DETECTOR, PAPER_IMAGE_SIZE_PX, PAPER_PROMPTS = "yolo_world_l", 640, 80
PAPER_QAT_HOURS, PAPER_CRQAT_HOURS = 95.2, 112.4
PAPER_IMAGES = 1_742_289 + 621_189
"""Of the epoch that those GPU-hours are for: Objects365 v2 and GQA."""


@dataclass(frozen=True)
class StageLength:
    """steps: of the optimizer. images_per_step: over all accumulated batches. images: what the stage sees."""

    images: int | None
    is_estimate: bool
    images_per_step: int
    steps: int | None

    @property
    def images_seen(self) -> int | None:
        return None if self.steps is None else self.steps * self.images_per_step


def length_of(
    optimization: OptimizationSpec, batch_size: int, qat: QatImages | None, window: tuple[float, float] = (0.0, 1.0)
) -> StageLength:
    """Steps as given, or as many as the epochs over this window of the images take."""
    images = round(window[1] * qat.number) - round(window[0] * qat.number) if qat else None
    per_step = batch_size * optimization.accumulation_steps
    steps: int | None = optimization.num_steps or None
    if images and optimization.num_epochs is not None:
        steps = optimization.for_images(images, batch_size).num_steps
    return StageLength(images, bool(qat and qat.is_estimate), per_step, steps)


def macs_g(row: NamedBuilderSpec, image_size_px: int, num_prompts: int) -> float:
    """10^9 multiply-accumulates of one image, forward, from shapes alone."""
    with torch.device("meta"):
        detector = build_detector(row.name, **row.options)
    return cost(detector, None, image_size_px, num_prompts).macs_g


def paper_seconds_per_image(row: NamedBuilderSpec, spec: QatStageSpec) -> float:
    """GPU-seconds per training image: the paper's for YOLO-World-L, scaled by the work of a forward pass.

    A stage with distillation takes 112.4 / 95.2 of plain QAT's time; the full-precision control is counted as QAT.
    """
    reference = NamedBuilderSpec(name=PAPER_DETECTOR, options={"version": 1})
    work = macs_g(row, spec.loader.image_size_px, spec.loader.num_prompts)
    paper_work = macs_g(reference, PAPER_IMAGE_SIZE_PX, PAPER_PROMPTS)
    hours = PAPER_CRQAT_HOURS if spec.distillation.distils else PAPER_QAT_HOURS
    return hours * 3600 / PAPER_IMAGES * work / paper_work


def given_seconds_per_image(images_per_second: float, spec: QatStageSpec) -> float:
    """The same from a given throughput of plain QAT."""
    return (PAPER_CRQAT_HOURS / PAPER_QAT_HOURS if spec.distillation.distils else 1.0) / images_per_second


def total_hours(hours: Mapping[str, float | None]) -> float | None:
    """None where one of them is unknown."""
    known = [value for value in hours.values() if value is not None]
    return sum(known) if len(known) == len(hours) and known else None
