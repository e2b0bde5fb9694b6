"""Outlines of the ten shapes, each filling its unit box exactly, so that boxes follow from the layout.

Shape letters: V vertices.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Polygon = NDArray[np.float64]


def _fill_unit_box(points_V2: Polygon) -> Polygon:
    low, high = points_V2.min(axis=0), points_V2.max(axis=0)
    return np.asarray((points_V2 - low) / (high - low))


def _arc(start_turn: float, stop_turn: float, num_points: int = 48) -> Polygon:
    angle = 2 * np.pi * np.linspace(start_turn, stop_turn, num_points)
    return np.stack([np.sin(angle), -np.cos(angle)], axis=1)


def _star() -> Polygon:
    points = _arc(0.0, 1.0, 11)[:-1]
    points[1::2] *= 0.42
    return points


def _heart() -> Polygon:
    angle = 2 * np.pi * np.linspace(0.0, 1.0, 60, endpoint=False)
    return np.stack(
        [
            16 * np.sin(angle) ** 3,
            -(13 * np.cos(angle) - 5 * np.cos(2 * angle) - 2 * np.cos(3 * angle) - np.cos(4 * angle)),
        ],
        axis=1,
    )


def _moon() -> Polygon:
    """A crescent open to the right: an outer arc, then an inner arc back through the same two tips."""
    outer = _arc(0.39, 1.11, 56)
    centre = np.array([0.55, 0.0])
    to_tip = outer[-1] - centre
    turn = float(np.arctan2(to_tip[0], -to_tip[1]) / (2 * np.pi))
    inner = _arc(turn, -0.5 - turn, 40)[1:-1]
    return np.concatenate([outer, centre + float(np.linalg.norm(to_tip)) * inner])


def _points(*pairs: tuple[float, float]) -> Polygon:
    return np.array(pairs, dtype=np.float64)


_THIRDS = (0.0, 0.33, 0.67, 1.0)

OUTLINES: dict[str, Polygon] = {
    name: _fill_unit_box(points)
    for name, points in {
        "circle": _arc(0.0, 1.0, 64),
        "square": _points((0, 0), (1, 0), (1, 1), (0, 1)),
        "triangle": _points((0.5, 0), (1, 1), (0, 1)),
        "star": _star(),
        "cross": _points(
            *((_THIRDS[x], _THIRDS[y]) for x, y in ((1, 0), (2, 0), (2, 1), (3, 1), (3, 2), (2, 2))),
            *((_THIRDS[x], _THIRDS[y]) for x, y in ((2, 3), (1, 3), (1, 2), (0, 2), (0, 1), (1, 1))),
        ),
        "ring": _arc(0.0, 1.0, 64),
        "heart": _heart(),
        "moon": _moon(),
        "diamond": _points((0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5)),
        "arrow": _points((0, 0.32), (0.5, 0.32), (0.5, 0), (1, 0.5), (0.5, 1), (0.5, 0.68), (0, 0.68)),
    }.items()
}

HOLES: dict[str, Polygon] = {"ring": 0.5 + 0.52 * (OUTLINES["circle"] - 0.5)}
