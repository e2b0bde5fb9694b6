"""Random changes of one sample; every draw comes from the generator that is handed in.

Shape letters: M boxes.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from torchvision.transforms.v2 import functional

from crqat_pipeline.detection_data.letterbox import LETTERBOX_GREY
from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.detection_data.outline import Outline, Picture
from crqat_pipeline.detection_data.sample import Sample

MIN_BOX_PX = 2.0
MIN_AREA_SHARE = 0.1
MAX_ASPECT = 100.0


def flip(sample: Sample, probability: float, random: np.random.Generator) -> Sample:
    """Mirror left and right with this probability."""
    if random.random() >= probability:
        return sample
    boxes_M4 = sample.boxes_M4.copy()
    boxes_M4[:, [0, 2]] = sample.image.width - sample.boxes_M4[:, [2, 0]]
    return Sample(functional.horizontal_flip(sample.image), boxes_M4, sample.category_ids_M)


def jitter_colours(sample: Sample, spec: LoaderSpec, random: np.random.Generator) -> Sample:
    """Change hue, saturation and value by random gains."""
    hue, saturation, value = random.uniform(-1, 1, 3).tolist()
    image = functional.adjust_hue(sample.image, hue * spec.hue_gain)
    image = functional.adjust_saturation(image, 1 + saturation * spec.saturation_gain)
    image = functional.adjust_brightness(image, 1 + value * spec.value_gain)
    return Sample(image, sample.boxes_M4, sample.category_ids_M)


def scale_and_crop(sample: Sample, size_px: int, scale: float, shift_xy: tuple[float, float]) -> Sample:
    """Scale about the centre of a square sample, shift by pixels, and crop to a size_px square.

    Boxes are clipped; those under 2 px, with under 10 % of their area left, or over 100 times longer than wide
    are left out. Uncovered pixels are grey 114.
    """
    half = sample.image.width / 2
    offset_x, offset_y = (half - (size_px / 2 + shift) / scale for shift in shift_xy)
    moves = (1 / scale, 0, offset_x, 0, 1 / scale, offset_y)
    image = _transformed(sample.image, size_px, moves)
    offset = np.array([offset_x, offset_y] * 2)
    moved_M4 = (sample.boxes_M4 - offset) * scale
    boxes_M4 = moved_M4.clip(0, size_px)
    full_M2, side_M2 = moved_M4[:, 2:] - moved_M4[:, :2], boxes_M4[:, 2:] - boxes_M4[:, :2]
    kept_M = (
        (side_M2 > MIN_BOX_PX).all(axis=1)
        & (side_M2.prod(axis=1) > MIN_AREA_SHARE * full_M2.prod(axis=1))
        & (side_M2.max(axis=1, initial=0) < MAX_ASPECT * side_M2.min(axis=1, initial=np.inf))
    )
    return Sample(image, boxes_M4[kept_M].astype(np.float32), sample.category_ids_M[kept_M])


def _transformed(image: Picture, size_px: int, moves: tuple[float, ...]) -> Picture:
    if isinstance(image, Outline):
        return Outline(size_px, size_px)
    grey = (LETTERBOX_GREY,) * 3
    size = (size_px, size_px)
    return image.transform(size, Image.Transform.AFFINE, moves, Image.Resampling.BILINEAR, fillcolor=grey)


def random_scale_and_crop(sample: Sample, spec: LoaderSpec, random: np.random.Generator) -> Sample:
    """scale_and_crop with a random scale and translation; without them if affine is switched off."""
    scale, shift_xy = 1.0, (0.0, 0.0)
    if spec.use_affine:
        scale = float(random.uniform(1 - spec.scale_gain, 1 + spec.scale_gain))
        reach = spec.translate_share * spec.image_size_px
        shift_xy = (float(random.uniform(-reach, reach)), float(random.uniform(-reach, reach)))
    return scale_and_crop(sample, spec.image_size_px, scale, shift_xy)
