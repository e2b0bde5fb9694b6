"""Boxes are drawn on a copy, in the colour of what they are."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from crqat_pipeline.evaluation.comparison import MISSED, ShownDetections, compare_detections
from crqat_pipeline.reporting.run_report.labelled_boxes import MARK_COLOURS, draw_labelled_boxes, draw_marked


def test_boxes_are_drawn_on_a_copy() -> None:
    image = Image.new("RGB", (100, 100), "white")
    drawn = draw_labelled_boxes(image, [[20, 20, 60, 90]], ["cup"], [0.5], ["#ff0000"])
    assert drawn.getpixel((20, 50)) == drawn.getpixel((60, 80)) == (255, 0, 0)
    assert drawn.getpixel((40, 70)) == image.getpixel((20, 50)) == (255, 255, 255)
    dashed = draw_labelled_boxes(image, [[20, 20, 60, 90]], ["cup"], [0.5], ["#ff0000"], [True])
    column = {dashed.getpixel((60, y)) for y in range(40, 88)}
    assert column == {(255, 0, 0), (255, 255, 255)}


def test_odd_input_to_drawing() -> None:
    image = Image.new("L", (9, 7))
    assert draw_labelled_boxes(image, [], [], [], []).size == (9, 7)
    draw_labelled_boxes(image, [[-5, -5, 30, 30]] * 9, ["crêpe → 电话"] * 9, [1.0] * 9, ["blue"] * 9)
    with pytest.raises(ValueError, match="got 1 boxes, 2 labels"):
        draw_labelled_boxes(image, [[0, 0, 1, 1]], ["a", "b"], [0.5], ["red"])


def test_missed_detections_have_their_colour() -> None:
    bird = ShownDetections(np.array([[50.0, 50.0, 90.0, 90.0]]), ("bird",), np.array([0.9]))
    nothing = ShownDetections(np.zeros((0, 4)), (), np.zeros(0))
    marked = compare_detections(bird, nothing)
    picture = draw_marked(Image.new("RGB", (100, 100), "white"), marked)
    wanted = tuple(int(MARK_COLOURS[MISSED][i : i + 2], 16) for i in (1, 3, 5))
    assert wanted in {picture.getpixel((50, y)) for y in range(50, 90)}
