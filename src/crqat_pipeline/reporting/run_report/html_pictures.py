"""The pictures of a report, as PNG inside the page: figures in both themes, the gallery, heat maps."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from crqat_pipeline.evaluation.comparison import (
    EXTRA,
    KEPT,
    MISSED,
    RENAMED,
    ShownDetections,
    compare_detections,
)
from crqat_pipeline.reporting.run_report.content import GalleryImage, HeatMapRow, ReportData
from crqat_pipeline.reporting.run_report.labelled_boxes import draw_labelled_boxes, draw_marked
from crqat_pipeline.reporting.run_report.themed_figure import DARK, LIGHT, Theme, png_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL_PX = 560
MAX_SHOWN = 20
TEACHER_COLOUR = "#1c64c8"


@dataclass(frozen=True)
class ThemedPicture:
    """A figure as data URIs for light and dark pages, with its text alternative and natural width."""

    light: str
    dark: str
    alt: str
    width_px: int


@dataclass(frozen=True)
class Panel:
    """A drawn image: title is the form's name, counts the marks found in it (mark -> number)."""

    title: str
    source: str
    counts: Mapping[str, int]


def themed(draw: Callable[[Theme], Figure], alt: str) -> ThemedPicture:
    figures = [draw(theme) for theme in (LIGHT, DARK)]
    light, dark = (_uri(png_bytes(figure)) for figure in figures)
    return ThemedPicture(light, dark, alt, round(96 * figures[0].get_figwidth()))


def _uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def picture_uri(image: Image.Image) -> str:
    """A photograph as a PNG of 256 colours, a third of the size of full colour."""
    buffer = io.BytesIO()
    colours = image.convert("RGB")
    palette = colours.quantize(256, method=Image.Quantize.FASTOCTREE)
    colours.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(buffer, "png", optimize=True)
    return _uri(buffer.getvalue())


def _fit(image: Image.Image) -> tuple[Image.Image, float]:
    scale = PANEL_PX / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.convert("RGB").resize(size, Image.Resampling.LANCZOS), scale


def gallery_panels(entry: GalleryImage, data: ReportData) -> list[Panel]:
    """The teacher's detections, then each other form's with the differences marked."""
    image, scale = _fit(entry.image)

    def shown(name: str) -> ShownDetections:
        best = entry.detections[name].above(data.score_threshold)
        best = best.take(np.arange(min(len(best.labels_M), MAX_SHOWN)))
        return ShownDetections(best.boxes_xyxy_M4.reshape(-1, 4) * scale, best.labels_M, best.scores_M)

    if data.teacher not in entry.detections:
        raise ValueError(
            f"The gallery needs the teacher {data.teacher!r} in every image; {entry.title!r} has "
            f"{list(entry.detections)}."
        )
    teacher = shown(data.teacher)
    plain = draw_labelled_boxes(
        image, teacher.boxes_xyxy_M4, teacher.labels_M, teacher.scores_M, [TEACHER_COLOUR] * len(teacher.labels_M)
    )
    panels = [Panel(data.teacher, picture_uri(plain), {})]
    for name in entry.detections:
        if name != data.teacher:
            marked = compare_detections(teacher, shown(name))
            counts = {mark: marked.count(mark) for mark in (KEPT, RENAMED, MISSED, EXTRA)}
            panels.append(Panel(name, picture_uri(draw_marked(image, marked)), counts))
    return panels


def heat_map_panels(row: HeatMapRow) -> list[Panel]:
    return [Panel(name, picture_uri(_fit(picture)[0]), {}) for name, picture in row.pictures.items()]
