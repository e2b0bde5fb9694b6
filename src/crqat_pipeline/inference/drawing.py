"""Boxes with readable labels on a picture: the one drawer, for what is found and for the pictures of a report."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from PIL import Image, ImageColor, ImageDraw, ImageFont

from crqat_pipeline.structures.output import Detections

GOLDEN_RATIO = 0.618034
MAX_ENLARGEMENT = 8
MAX_ENLARGED_PX = 8_000_000
"""Pixels of an enlarged picture; a larger one keeps its size."""
MAX_SIDE_PX = 16_000
"""Of an enlarged picture: below what JPEG and WebP can hold."""
PAD_PX = 3
DASH = 4
"""Length of a dash in line widths."""

Colour: TypeAlias = str | tuple[int, int, int]
Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont
Place: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True)
class LabelledBox:
    """corners: xyxy in pixels of the picture."""

    corners: Sequence[float]
    text: str
    colour: Colour
    is_dashed: bool = False


def prompt_color(column: int) -> tuple[int, int, int]:
    """A strong colour per prompt column; neighbours in the list are far apart in hue."""
    red, green, blue = colorsys.hsv_to_rgb((0.02 + column * GOLDEN_RATIO) % 1.0, 0.85, 0.9)
    return round(red * 255), round(green * 255), round(blue * 255)


def draw_detections(
    image: Image.Image, detections: Detections, prompts: Sequence[str], least_side_px: int = 480
) -> Image.Image:
    """A copy of the image with one frame and one "prompt 0.87" label per detection, the best on top.

    An image whose shorter side is below least_side_px is enlarged by a whole factor, so that labels do not hide what
    they name; 0 keeps every size. The factor is at most 8, and no picture grows above 8 million pixels or a side of
    16,000.
    """
    factor = _enlargement(*image.size, least_side_px)
    canvas = image.convert("RGB").resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC)
    boxes = (detections.boxes_M4 * factor).tolist()
    rows = zip(boxes, detections.scores_M.tolist(), detections.labels_M.tolist(), strict=True)
    labelled = [LabelledBox(box, f"{prompts[label]} {score:.2f}", prompt_color(label)) for box, score, label in rows]
    return draw_boxes(canvas, labelled, ImageFont.load_default(size=label_size(canvas.size)))


def draw_boxes(picture: Image.Image, boxes: Sequence[LabelledBox], font: Font) -> Image.Image:
    """A copy with a frame and a label per box; the first lies on top.

    Line width follows the picture's size. A label stands above its box, inside its top or below it, where no label of
    an earlier box is; one that finds no free place is left out.
    """
    drawn = picture.convert("RGB").copy()
    pen = ImageDraw.Draw(drawn)
    width_px = max(2, round(max(drawn.size) / 300))
    for box in reversed(boxes):
        corners = _ordered(box.corners)
        if box.is_dashed:
            for line in _dashes(corners, DASH * width_px):
                pen.line(line, fill=box.colour, width=width_px)
        else:
            pen.rectangle(corners, outline=box.colour, width=width_px)
    taken: list[Place] = []
    for box in boxes:
        left, top, right, bottom = pen.textbbox((0, 0), box.text, font=font)
        size_px = (right - left + 2 * PAD_PX, bottom - top + 2 * PAD_PX)
        place = _free_place(_ordered(box.corners), size_px, drawn.size, taken)
        if place is not None:
            taken.append(place)
            pen.rectangle(place, fill=box.colour)
            at = (place[0] + PAD_PX - left, place[1] + PAD_PX - top)
            pen.text(at, box.text, fill=_readable_on(box.colour), font=font)
    return drawn


def label_size(size_px: tuple[int, int]) -> float:
    """Height of the labels' text for a picture of this size."""
    return max(10.0, max(size_px) / 46)


def _enlargement(width_px: int, height_px: int, least_side_px: int) -> int:
    wanted = min(MAX_ENLARGEMENT, -(-least_side_px // min(width_px, height_px)))
    held = min(math.isqrt(MAX_ENLARGED_PX // (width_px * height_px)), MAX_SIDE_PX // max(width_px, height_px))
    return max(1, min(wanted, held))


def _ordered(box: Sequence[float]) -> Place:
    left, top, right, bottom = (float(side) for side in box)
    return min(left, right), min(top, bottom), max(left, right), max(top, bottom)


def _free_place(
    box: Place, size_px: tuple[float, float], picture_px: tuple[int, int], taken: Sequence[Place]
) -> Place | None:
    x = min(max(box[0], 0.0), max(picture_px[0] - size_px[0], 0.0))
    for wished in (box[1] - size_px[1], box[1], box[3]):
        y = min(max(wished, 0.0), max(picture_px[1] - size_px[1], 0.0))
        place = (x, y, x + size_px[0], y + size_px[1])
        if not any(place[0] < b[2] and b[0] < place[2] and place[1] < b[3] and b[1] < place[3] for b in taken):
            return place
    return None


def _readable_on(colour: Colour) -> Colour:
    red, green, blue = (ImageColor.getrgb(colour) if isinstance(colour, str) else colour)[:3]
    return "black" if (299 * red + 587 * green + 114 * blue) / 1000 > 140 else "white"


def _dashes(corners: Place, dash_px: float) -> Iterator[list[tuple[float, float]]]:
    x1, y1, x2, y2 = corners
    for start, end in (((x1, y1), (x2, y1)), ((x2, y1), (x2, y2)), ((x2, y2), (x1, y2)), ((x1, y2), (x1, y1))):
        length = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1e-6)
        step_x, step_y = (end[0] - start[0]) / length, (end[1] - start[1]) / length
        for number in range(math.ceil(length / (1.8 * dash_px))):
            begin = 1.8 * dash_px * number
            stop = min(begin + dash_px, length)
            yield [(start[0] + t * step_x, start[1] + t * step_y) for t in (begin, stop)]
