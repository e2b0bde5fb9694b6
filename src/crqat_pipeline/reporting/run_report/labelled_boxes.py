"""Detections drawn on images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from crqat_pipeline.evaluation.comparison import EXTRA, KEPT, MISSED, RENAMED, FloatArray, MarkedDetections

Rectangle = tuple[float, float, float, float]
PAD_PX = 2
MARK_COLOURS = {KEPT: "#14806f", RENAMED: "#6b4bc8", MISSED: "#c2255c", EXTRA: "#b4620a"}


def draw_labelled_boxes(
    image: Image.Image,
    boxes: Sequence[Sequence[float]] | FloatArray,
    labels: Sequence[str],
    scores: Sequence[float] | FloatArray,
    colours: Sequence[str],
    dashed: Sequence[bool] = (),
) -> Image.Image:
    """A copy of the image with boxes (xyxy, pixels), each with its label and score in its colour.

    The last row is drawn first, so that the best detection lies on top; a label that finds no free place is left
    out. dashed: one flag per row, or empty.
    """
    lengths = {len(boxes), len(labels), len(scores), len(colours)} | ({len(dashed)} if len(dashed) else set())
    if len(lengths) != 1:
        raise ValueError(
            f"Drawing needs one label, score and colour per box; got {len(boxes)} boxes, {len(labels)} labels, "
            f"{len(scores)} scores, {len(colours)} colours and {len(dashed)} dash flags."
        )
    picture = image.convert("RGB")
    canvas = ImageDraw.Draw(picture)
    width = max(2, round(max(picture.size) / 240))
    for row in reversed(range(len(labels))):
        corners = tuple(float(value) for value in boxes[row])
        if len(dashed) and dashed[row]:
            _dashed_rectangle(canvas, corners, colours[row], width)
        else:
            canvas.rectangle(corners, outline=colours[row], width=width)
    font = ImageFont.truetype(label_font_path(), max(10.0, max(picture.size) / 46))
    taken: list[Rectangle] = []
    for row in range(len(labels)):
        text = f"{labels[row]} {scores[row]:.2f}"
        left, top, right, bottom = canvas.textbbox((0, 0), text, font=font)
        size = (right - left + 2 * PAD_PX, bottom - top + 2 * PAD_PX)
        place = _free_place(boxes[row], size, picture.size, taken)
        if place is not None:
            taken.append(place)
            canvas.rectangle(place, fill=colours[row])
            canvas.text((place[0] + PAD_PX - left, place[1] + PAD_PX - top), text, fill="white", font=font)
    return picture


def label_font_path() -> str:
    """DejaVu Sans, which matplotlib brings along: it has the arrow and the accents of category names."""
    from matplotlib import get_data_path

    return str(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")


def _free_place(
    box: Sequence[float] | FloatArray, size: tuple[float, float], picture: tuple[int, int], taken: list[Rectangle]
) -> Rectangle | None:
    """Above the box, inside its top or below it, wherever no label is yet; None if all three are taken."""
    x = min(max(float(box[0]), 0.0), max(picture[0] - size[0], 0.0))
    for y in (box[1] - size[1], box[1], box[3]):
        y = min(max(float(y), 0.0), max(picture[1] - size[1], 0.0))
        place = (x, y, x + size[0], y + size[1])
        if not any(place[0] < b[2] and b[0] < place[2] and place[1] < b[3] and b[1] < place[3] for b in taken):
            return place
    return None


def _dashed_rectangle(canvas: ImageDraw.ImageDraw, corners: tuple[float, ...], colour: str, width: int) -> None:
    x1, y1, x2, y2 = corners
    dash = 4 * width
    for start, end in (((x1, y1), (x2, y1)), ((x2, y1), (x2, y2)), ((x2, y2), (x1, y2)), ((x1, y2), (x1, y1))):
        length = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1e-6)
        step_x, step_y = (end[0] - start[0]) / length, (end[1] - start[1]) / length
        for begin in np.arange(0.0, length, 1.8 * dash):
            stop = min(begin + dash, length)
            along = ((start[0] + t * step_x, start[1] + t * step_y) for t in (begin, stop))
            canvas.line(list(along), fill=colour, width=width)


def draw_marked(image: Image.Image, marked: MarkedDetections) -> Image.Image:
    """A student's detections, solid, coloured by mark; what it missed, dashed."""
    return draw_labelled_boxes(
        image,
        marked.shown.boxes_xyxy_M4,
        marked.shown.labels_M,
        marked.shown.scores_M,
        [MARK_COLOURS[mark] for mark in marked.marks_M],
        [mark == MISSED for mark in marked.marks_M],
    )
