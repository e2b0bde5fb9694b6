"""Four images around one point of a canvas twice as large as the input.

Shape letters: M boxes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from crqat_pipeline.detection_data.letterbox import LETTERBOX_GREY, resize_long_side
from crqat_pipeline.detection_data.outline import Outline
from crqat_pipeline.detection_data.sample import Sample


def make_mosaic(samples: Sequence[Sample], size_px: int, random: np.random.Generator) -> Sample:
    """Place four samples above-left, above-right, below-left, below-right of a random point.

    The point lies in [0.5, 1.5] size_px on both axes of the 2 size_px canvas; what leaves the canvas is cut off.
    Boxes are moved along and clipped to the canvas; boxes that lie outside it are left out.
    """
    if len(samples) != 4:
        raise ValueError(f"A mosaic needs exactly 4 samples; got {len(samples)}.")
    has_pixels = not isinstance(samples[0].image, Outline)
    canvas = Image.new("RGB", (2 * size_px, 2 * size_px) if has_pixels else (1, 1), (LETTERBOX_GREY,) * 3)
    centre_x, centre_y = random.integers(size_px // 2, size_px + (size_px + 1) // 2, 2).tolist()
    boxes, category_ids = [], []
    for position, sample in enumerate(samples):
        image = resize_long_side(sample.image, size_px)
        left = centre_x - (image.width if position % 2 == 0 else 0)
        top = centre_y - (image.height if position < 2 else 0)
        if not isinstance(image, Outline):
            canvas.paste(image, (left, top))
        scale = np.array([image.width / sample.image.width, image.height / sample.image.height] * 2)
        boxes.append(sample.boxes_M4 * scale + np.array([left, top] * 2))
        category_ids.append(sample.category_ids_M)
    boxes_M4 = np.concatenate(boxes).clip(0, 2 * size_px).astype(np.float32)
    kept_M = (boxes_M4[:, 2:] > boxes_M4[:, :2]).all(axis=1)
    picture = canvas if has_pixels else Outline(2 * size_px, 2 * size_px)
    return Sample(picture, boxes_M4[kept_M], np.concatenate(category_ids)[kept_M])
