"""Kept, renamed, missed, extra."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from crqat_pipeline.evaluation.comparison import EXTRA, KEPT, MISSED, RENAMED, ShownDetections, compare_detections

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
