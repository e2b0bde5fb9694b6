"""Size of the input, batches and steps, from what the photographs and the teacher are."""

from __future__ import annotations

from dataclasses import dataclass

from crqat_pipeline.detection_data.letterbox import check_side
from crqat_pipeline.own_data.photographs import Photographs

SIDES_PX = (256, 320, 416, 512, 640)
LARGEST_FROM_SCRATCH_PX = 320
"""On few photographs, where a larger input costs time and shows no more."""
SMALLEST_READY_PX = 320
"""Published weights were trained at 416 or 640 px: far below, even full precision finds little."""
SMALLEST_OBJECT_PX = 8
"""A cell of the finest level of the pyramid."""
QAT_BATCH, TEACHER_BATCH = 8, 16
QAT_EPOCHS, QAT_STEPS = 8, (300, 3000)
TEACHER_EPOCHS, TEACHER_STEPS = 50, (400, 10000)
ENOUGH_IMAGES = 20_000
"""From so many on, training from scratch is worth its time; COCO has 118,287."""
MANY_IMAGES = 1000
"""Fewer than so many show more on the photographs that were trained on than on new ones; both are scored."""


@dataclass(frozen=True)
class TrainingPlan:
    """teacher_steps: 0 where its weights are ready. qat_steps: of every method; rates are those of photographs.

    curriculum_rate: of CR-QAT and vocabulary distillation; plain_rate: of plain QAT and of the control.
    """

    image_size_px: int
    teacher_steps: int
    qat_steps: int
    calibration_images: int
    on_training_images: bool
    plain_rate: float
    curriculum_rate: float


def plan_training(
    photographs: Photographs, is_ready: bool, size_divisor: int, image_size_px: int | None, num_steps: int | None
) -> TrainingPlan:
    """Raises ValueError for a size that the detector does not take."""
    num_images = len(photographs.train["images"])
    most = LARGEST_FROM_SCRATCH_PX if not is_ready and num_images < ENOUGH_IMAGES else SIDES_PX[-1]
    size_px = image_size_px or _size(photographs.object_side(), is_ready, size_divisor, most)
    check_side(size_px, size_divisor)
    return TrainingPlan(
        image_size_px=size_px,
        teacher_steps=0 if is_ready else _between(TEACHER_EPOCHS * num_images // TEACHER_BATCH, TEACHER_STEPS),
        qat_steps=num_steps or _between(QAT_EPOCHS * num_images // QAT_BATCH, QAT_STEPS),
        calibration_images=min(128, num_images),
        on_training_images=num_images < MANY_IMAGES,
        plain_rate=1.0e-4,
        curriculum_rate=3.0e-4 if is_ready else 1.0e-4,
    )


def _size(object_side: float, is_ready: bool, size_divisor: int, most: int) -> int:
    """The smallest side at which nine of ten objects cover a cell, rounded up to what the detector takes."""
    least = SMALLEST_READY_PX if is_ready else SIDES_PX[0]
    fitting = (side for side in SIDES_PX if least <= side <= most and object_side * side >= SMALLEST_OBJECT_PX)
    side = next(fitting, most)
    return -(-side // size_divisor) * size_divisor


def _between(number: int, limits: tuple[int, int]) -> int:
    return max(limits[0], min(limits[1], -(-number // 10) * 10))
