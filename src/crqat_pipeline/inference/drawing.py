"""Boxes with readable labels on a picture."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from crqat_pipeline.structures.output import Detections

GOLDEN_RATIO = 0.618034
MAX_ENLARGEMENT = 8
MAX_ENLARGED_PX = 8_000_000
"""Pixels of an enlarged picture; a larger one keeps its size."""
MAX_SIDE_PX = 16_000
"""Of an enlarged picture: below what JPEG and WebP can hold."""


def prompt_color(column: int) -> tuple[int, int, int]:
    """A strong colour per prompt column; neighbours in the list are far apart in hue."""
    red, green, blue = colorsys.hsv_to_rgb((0.02 + column * GOLDEN_RATIO) % 1.0, 0.85, 0.9)
    return round(red * 255), round(green * 255), round(blue * 255)


def draw_detections(
    image: Image.Image, detections: Detections, prompts: Sequence[str], least_side_px: int = 480
) -> Image.Image:
    """A copy of the image with one frame and one "prompt 0.87" label per detection, the best on top.

    Line width and text size follow the image's size. An image whose shorter side is below least_side_px is enlarged by
    a whole factor, so that labels do not hide what they name; 0 keeps every size. The factor is at most 8, and no
    picture grows above 8 million pixels or a side of 16,000.
    """
    factor = _enlargement(*image.size, least_side_px)
    canvas = image.convert("RGB").resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(canvas)
    shorter_px = min(canvas.size)
    line_px = max(1, round(shorter_px / 250))
    font = ImageFont.load_default(size=max(10, round(shorter_px / 36)))
    boxes = (detections.boxes_M4 * factor).tolist()
    rows = list(zip(boxes, detections.scores_M.tolist(), detections.labels_M.tolist(), strict=True))
    for box, _, column in reversed(rows):
        pen.rectangle(_ordered(box), outline=prompt_color(column), width=line_px)
    for box, score, column in reversed(rows):
        _draw_label(pen, canvas.size, box, f"{prompts[column]} {score:.2f}", prompt_color(column), font)
    return canvas


def _enlargement(width_px: int, height_px: int, least_side_px: int) -> int:
    wanted = min(MAX_ENLARGEMENT, -(-least_side_px // min(width_px, height_px)))
    held = min(math.isqrt(MAX_ENLARGED_PX // (width_px * height_px)), MAX_SIDE_PX // max(width_px, height_px))
    return max(1, min(wanted, held))


def _ordered(box: Sequence[float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    return min(left, right), min(top, bottom), max(left, right), max(top, bottom)


def _draw_label(
    pen: ImageDraw.ImageDraw,
    size_px: tuple[int, int],
    box: Sequence[float],
    text: str,
    color: tuple[int, int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    width_px, height_px = right - left + 6, bottom - top + 6
    x = max(0, min(box[0], size_px[0] - width_px))
    y = box[1] - height_px if box[1] >= height_px else min(box[1], size_px[1] - height_px)
    y = max(0, y)
    pen.rectangle((x, y, x + width_px, y + height_px), fill=color)
    bright = (299 * color[0] + 587 * color[1] + 114 * color[2]) / 1000 > 140
    pen.text((x + 3 - left, y + 3 - top), text, fill=(0, 0, 0) if bright else (255, 255, 255), font=font)
