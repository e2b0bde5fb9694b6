"""Fit an image into a square without changing its aspect, and map boxes back exactly.

Shape letters: H W pixels, C channels, M boxes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from crqat_pipeline.detection_data.outline import Outline, Picture

LETTERBOX_GREY = 114
LARGEST_SIDE_PX = 8192
"""Of the square input: 67 megapixels, 0.8 GB of floats an image."""


def check_side(size_px: int, divisor_px: int) -> None:
    """Raises ValueError for a square input that a detector of this divisor does not take, or that is too large."""
    if size_px > LARGEST_SIDE_PX:
        raise ValueError(f"The input's side is at most {LARGEST_SIDE_PX} px; got {size_px}. Cut images into tiles.")
    if size_px < divisor_px or size_px % divisor_px:
        fitting = max(1, -(-size_px // divisor_px)) * divisor_px
        raise ValueError(f"The input's side is a multiple of {divisor_px} px; got {size_px}. Use {fitting}.")


@dataclass(frozen=True)
class Letterbox:
    """Where an image lies in its square input: offset in pixels, and the scale of each axis really reached."""

    left: int
    top: int
    scale_x: float
    scale_y: float
    original_width: int
    original_height: int

    def to_input(self, boxes_M4: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes xyxy in pixels of the original image -> pixels of the input."""
        scale, offset = np.array([self.scale_x, self.scale_y] * 2), np.array([self.left, self.top] * 2)
        return np.asarray(boxes_M4 * scale + offset, dtype=np.float32)

    def to_original(self, boxes_M4: Tensor) -> Tensor:
        """Boxes xyxy in pixels of the input -> pixels of the original image, clipped to it."""
        offset = boxes_M4.new_tensor([self.left, self.top] * 2)
        scale = boxes_M4.new_tensor([self.scale_x, self.scale_y] * 2)
        limit = boxes_M4.new_tensor([self.original_width, self.original_height] * 2)
        return torch.minimum(((boxes_M4 - offset) / scale).clamp(min=0), limit)


def _area_average(values_HWC: NDArray[np.float32], num_rows: int) -> NDArray[np.float32]:
    """Shrink the first axis to num_rows: each output is the mean over the input interval that it covers."""
    num_inputs = len(values_HWC)
    edges = np.arange(num_rows + 1) * (num_inputs / num_rows)
    first = np.floor(edges[:-1]).astype(np.int64)
    width = num_inputs / num_rows
    result = np.zeros((num_rows, *values_HWC.shape[1:]), dtype=np.float32)
    for step in range(int(np.ceil(width)) + 1):
        source = first + step
        share = (np.minimum(edges[1:], source + 1) - np.maximum(edges[:-1], source)).clip(min=0) / width
        if not share.any():
            continue
        rows = values_HWC[np.minimum(source, num_inputs - 1)]
        result += rows * share.astype(np.float32)[:, None, None]
    return result


def resize_area(image: Image.Image, width: int, height: int) -> Image.Image:
    """Shrink an RGB image by exact area averaging, as the published YOLO-World numbers were made."""
    rows_hWC = _area_average(np.asarray(image), height)
    columns_whC = _area_average(rows_hWC.transpose(1, 0, 2), width)
    return Image.fromarray(np.rint(columns_whC.transpose(1, 0, 2)).clip(0, 255).astype(np.uint8))


def resize_long_side(image: Picture, size_px: int) -> Picture:
    """Bring the longer side to size_px (the other one is floored): area when shrinking, bilinear when enlarging."""
    longer = max(image.size)
    if longer == size_px:
        return image
    width, height = (max(side * size_px // longer, 1) for side in image.size)
    if isinstance(image, Outline):
        return Outline(width, height)
    if longer > size_px:
        return resize_area(image, width, height)
    return image.resize((width, height), Image.Resampling.BILINEAR)


@overload
def letterbox(image: Image.Image, size_px: int) -> tuple[Image.Image, Letterbox]: ...
@overload
def letterbox(image: Outline, size_px: int) -> tuple[Outline, Letterbox]: ...
def letterbox(image: Picture, size_px: int) -> tuple[Picture, Letterbox]:
    """The image in a grey size_px × size_px square, centred; an odd pixel of padding goes right or below."""
    resized = resize_long_side(image, size_px)
    left, top = (size_px - resized.width) // 2, (size_px - resized.height) // 2
    geometry = Letterbox(
        left,
        top,
        resized.width / image.width,
        resized.height / image.height,
        image.width,
        image.height,
    )
    if resized.size == (size_px, size_px):
        return resized, geometry
    if isinstance(resized, Outline):
        return Outline(size_px, size_px), geometry
    canvas = Image.new("RGB", (size_px, size_px), (LETTERBOX_GREY,) * 3)
    canvas.paste(resized, (left, top))
    return canvas, geometry
