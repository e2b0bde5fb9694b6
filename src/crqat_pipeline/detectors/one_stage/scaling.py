"""The compound scaling of YOLOv8: widths and depths from three multipliers."""

from __future__ import annotations

import math
from typing import Any


def scaled(depth: float, width: float, max_channels: int) -> dict[str, Any]:
    """Fields of OneStageSpec from the depth and width multipliers.

    Both published formats built their heads for 80 classes, which is the lower bound of the embedding branch's
    width (it matters for N only).
    """

    def channels(base: int) -> int:
        return 8 * math.ceil(min(base, max_channels) * width / 8)

    def repeats(base: int) -> int:
        return max(round(base * depth), 1)

    stages = (channels(128), channels(256), channels(512), channels(1024))
    return {
        "stem_channels": channels(64),
        "stage_channels": stages,
        "stage_bottlenecks": (repeats(3), repeats(6), repeats(6), repeats(3)),
        "neck_bottlenecks": repeats(3),
        "box_width": max(16, stages[1] // 4, 64),
        "embedding_width": max(stages[1], 80),
    }


MULTIPLIERS: dict[str, tuple[float, float, int]] = {
    "n": (0.33, 0.25, 1024),
    "s": (0.33, 0.50, 1024),
    "m": (0.67, 0.75, 768),
    "l": (1.00, 1.00, 512),
    "x": (1.00, 1.25, 512),
}
"""Size -> depth, width, largest number of channels before scaling."""
