"""Detections drawn on images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageFont

from crqat_pipeline.evaluation.comparison import EXTRA, KEPT, MISSED, RENAMED, FloatArray, MarkedDetections
from crqat_pipeline.inference.drawing import LabelledBox, draw_boxes, label_size

MARK_COLOURS = {KEPT: "#14806f", RENAMED: "#6b4bc8", MISSED: "#c2255c", EXTRA: "#b4620a"}


def draw_labelled_boxes(
    image: Image.Image,
    boxes: Sequence[Sequence[float]] | FloatArray,
    labels: Sequence[str],
    scores: Sequence[float] | FloatArray,
    colours: Sequence[str],
    dashed: Sequence[bool] = (),
) -> Image.Image:
    """A copy of the image with boxes (xyxy, pixels), each with its label and score in its colour, the first on top.

    dashed: one flag per row, or empty.
    """
    lengths = {len(boxes), len(labels), len(scores), len(colours)} | ({len(dashed)} if len(dashed) else set())
    if len(lengths) != 1:
        raise ValueError(
            f"Drawing needs one label, score and colour per box; got {len(boxes)} boxes, {len(labels)} labels, "
            f"{len(scores)} scores, {len(colours)} colours and {len(dashed)} dash flags."
        )
    rows = zip(boxes, labels, scores, colours, dashed if len(dashed) else [False] * len(labels), strict=True)
    labelled = [
        LabelledBox(tuple(map(float, box)), f"{label} {score:.2f}", colour, bool(is_dashed))
        for box, label, score, colour, is_dashed in rows
    ]
    return draw_boxes(image, labelled, ImageFont.truetype(label_font_path(), label_size(image.size)))


def label_font_path() -> str:
    """DejaVu Sans, which matplotlib brings along: it has the arrow and the accents of category names."""
    from matplotlib import get_data_path

    return str(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")


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
