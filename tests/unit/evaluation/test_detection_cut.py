"""Which detections a protocol keeps, and that ties fall to the earlier row."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from crqat_pipeline.evaluation.annotation_table import read_annotations
from crqat_pipeline.evaluation.detection_cut import best_of_group, cut
from crqat_pipeline.evaluation.detection_table import DetectionTable
from crqat_pipeline.evaluation.protocol import PROTOCOLS
from tests.support.evaluation_scenes import random_scene


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=40), st.integers(1, 6))
def test_best_of_group_is_a_stable_sort(rows: list[tuple[int, int]], limit: int) -> None:
    kept = best_of_group(np.array([g for g, _ in rows]), np.array([s for _, s in rows], np.float64), limit)
    for group in {g for g, _ in rows}:
        numbered = [(score, row) for row, (g, score) in enumerate(rows) if g == group]
        expected = sorted(numbered, key=lambda one: one[0], reverse=True)[:limit]
        assert sorted(row for _, row in expected) == [
            row for row, (g, _) in enumerate(rows) if g == group and kept[row]
        ]


def test_fixed_ap_keeps_ten_thousand_per_category_before_the_federated_rule() -> None:
    truth, _ = random_scene(0, federated=True)
    annotations = read_annotations(truth, federated=True)
    image_id = truth["images"][0]["id"]
    absent, negative = 2, 5
    truth["images"][0]["neg_category_ids"] = [negative]
    annotations = read_annotations(truth, federated=True)
    owned = {one["category_id"] for one in truth["annotations"] if one["image_id"] == image_id}
    num = 10_050
    table = DetectionTable(
        np.full(2 * num, image_id),
        np.repeat([absent, negative], num),
        np.ones((2 * num, 4)),
        np.tile(np.r_[np.full(50, 0.1), np.full(num - 50, 0.9)], 2),
    )
    kept = cut(table, annotations, PROTOCOLS["lvis-fixed"])
    assert (kept.category_ids_M == negative).sum() == 10_000
    assert (kept.category_ids_M == absent).sum() == (10_000 if absent in owned else 0)
    assert (kept.scores_M == 0.9).all()


def test_records_come_back_as_they_went_in() -> None:
    _, detections = random_scene(4, federated=False)
    table = DetectionTable.from_records(detections)
    assert table.records() == detections
    halves = [table.take(np.arange(5)), table.take(np.arange(5, len(table)))]
    assert DetectionTable.concatenate(halves).records() == detections
    assert DetectionTable.from_records([]).records() == DetectionTable.empty().records() == []
