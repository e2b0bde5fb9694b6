"""Two programs found the same, whatever the order of scores that are equal within rounding."""

from __future__ import annotations

import numpy as np


def assert_same_detections(left_M6, right_M6, score_tolerance, box_tolerance_px):
    """Rows are label, score, box. Each has its like on the other side, but those with the lowest scores, which a limit
    or threshold may have cut off there."""
    tolerance_6 = np.array([0.5, score_tolerance, *[box_tolerance_px] * 4])
    for here, there in ((left_M6, right_M6), (right_M6, left_M6)):
        sure = here[here[:, 1] > here[:, 1].min() + 2 * score_tolerance]
        assert len(sure) > 3
        distance = (np.abs(sure[:, None] - there[None]) / tolerance_6).max(2).min(1)
        assert (distance <= 1).all(), (sure[distance > 1], distance.max())
