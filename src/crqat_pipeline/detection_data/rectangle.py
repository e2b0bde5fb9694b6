"""Fit an image into a rectangle, as a detector for video wants it; in a square this is the letterbox of training.

input_px is height and width throughout.
"""

from __future__ import annotations

from typing import TypeAlias

from PIL import Image

from crqat_pipeline.detection_data.letterbox import LETTERBOX_GREY, Letterbox, check_side, letterbox, resize_area

InputSize: TypeAlias = "int | tuple[int, int]"
"""Side of a square input, or height and width, in pixels."""


def sides_of(size_px: InputSize) -> tuple[int, int]:
    """Height and width."""
    return (size_px, size_px) if isinstance(size_px, int) else size_px


def check_input(size_px: InputSize, divisor_px: int) -> None:
    """Raises ValueError for an input that a detector of this divisor does not take, or that is too large."""
    for side_px in sides_of(size_px):
        check_side(side_px, divisor_px)


def fit(image: Image.Image, size_px: InputSize) -> tuple[Image.Image, Letterbox]:
    """The image as large as it fits, its shape kept, centred on grey; an odd pixel of padding goes right or below.

    The side that does not bind is floored. Shrinking averages areas, enlarging is bilinear.
    """
    height_px, width_px = sides_of(size_px)
    if height_px == width_px:
        return letterbox(image, height_px)
    resized = _resized(image, *fitted_size(image.size, (height_px, width_px)))
    left, top = (width_px - resized.width) // 2, (height_px - resized.height) // 2
    geometry = Letterbox(
        left, top, resized.width / image.width, resized.height / image.height, image.width, image.height
    )
    canvas = Image.new("RGB", (width_px, height_px), (LETTERBOX_GREY,) * 3)
    canvas.paste(resized, (left, top))
    return canvas, geometry


def fitted_size(size_px: tuple[int, int], input_px: tuple[int, int]) -> tuple[int, int]:
    """Width and height of an image of this width and height, once it fits."""
    (width, height), (input_height, input_width) = size_px, input_px
    if width * input_height >= height * input_width:
        return input_width, max(height * input_width // width, 1)
    return max(width * input_height // height, 1), input_height


def _resized(image: Image.Image, width: int, height: int) -> Image.Image:
    if (width, height) == image.size:
        return image
    if width < image.width or height < image.height:
        return resize_area(image, width, height)
    return image.resize((width, height), Image.Resampling.BILINEAR)
