"""Kept, renamed, missed, extra; and the drawing of boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from crqat_pipeline.evaluation.comparison import EXTRA, KEPT, MISSED, RENAMED, ShownDetections, compare_detections
from crqat_pipeline.evaluation.gallery import MARK_COLOURS, draw_detections, draw_marked

BOXES = np.array([[0, 0, 10, 10], [20, 20, 40, 40], [50, 50, 90, 90], [5, 60, 25, 80]], np.float64)


def _shown(rows: list[int], labels: list[str], scores: list[float] | None = None) -> ShownDetections:
    return ShownDetections(BOXES[rows].reshape(-1, 4), tuple(labels), np.array(scores or [0.9] * len(rows)))


def test_the_four_marks() -> None:
    teacher = _shown([0, 1, 2], ["cup", "lamp", "bird"])
    student = _shown([0, 1, 3], ["cup", "ceiling fan", "dog"])
    marked = compare_detections(teacher, student)
    assert marked.marks_M == (KEPT, RENAMED, EXTRA, MISSED)
    assert marked.shown.labels_M == ("cup", "lamp → ceiling fan", "dog", "bird")
    assert marked.shown.boxes_xyxy_M4.tolist() == BOXES[[0, 1, 3, 2]].tolist()


def test_the_same_name_comes_before_a_better_score() -> None:
    teacher = _shown([0], ["cup"])
    student = _shown([0, 0], ["bowl", "cup"], [0.9, 0.4])
    assert compare_detections(teacher, student).marks_M == (EXTRA, KEPT)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab")), max_size=8),
       st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab")), max_size=8))  # fmt: skip
def test_every_detection_is_shown_once(first: list[tuple[int, str]], second: list[tuple[int, str]]) -> None:
    teacher, student = (_shown([r for r, _ in rows], [n for _, n in rows]) for rows in (first, second))
    marked = compare_detections(teacher, student)
    assert len(marked.marks_M) == len(marked.shown.labels_M) == len(second) + marked.count(MISSED)
    assert marked.count(KEPT) + marked.count(RENAMED) + marked.count(MISSED) == len(first)
    assert set(compare_detections(teacher, teacher).marks_M) <= {KEPT}


def test_above_sorts_and_cuts() -> None:
    shown = _shown([0, 1, 2], ["a", "b", "c"], [0.2, 0.5, 0.9]).above(0.5)
    assert (shown.labels_M, shown.scores_M.tolist()) == (("c", "b"), [0.9, 0.5])


def test_boxes_are_drawn_on_a_copy() -> None:
    image = Image.new("RGB", (100, 100), "white")
    drawn = draw_detections(image, [[20, 20, 60, 90]], ["cup"], [0.5], ["#ff0000"])
    assert drawn.getpixel((20, 50)) == drawn.getpixel((60, 80)) == (255, 0, 0)
    assert drawn.getpixel((40, 70)) == image.getpixel((20, 50)) == (255, 255, 255)
    dashed = draw_detections(image, [[20, 20, 60, 90]], ["cup"], [0.5], ["#ff0000"], [True])
    column = {dashed.getpixel((60, y)) for y in range(40, 88)}
    assert column == {(255, 0, 0), (255, 255, 255)}


def test_odd_input_to_drawing() -> None:
    image = Image.new("L", (9, 7))
    assert draw_detections(image, [], [], [], []).size == (9, 7)
    draw_detections(image, [[-5, -5, 30, 30]] * 9, ["crêpe → 电话"] * 9, [1.0] * 9, ["blue"] * 9)
    with pytest.raises(ValueError, match="got 1 boxes, 2 labels"):
        draw_detections(image, [[0, 0, 1, 1]], ["a", "b"], [0.5], ["red"])


def test_missed_detections_have_their_colour() -> None:
    marked = compare_detections(_shown([2], ["bird"]), _shown([], []))
    picture = draw_marked(Image.new("RGB", (100, 100), "white"), marked)
    wanted = tuple(int(MARK_COLOURS[MISSED][i : i + 2], 16) for i in (1, 3, 5))
    assert wanted in {picture.getpixel((50, y)) for y in range(50, 90)}
