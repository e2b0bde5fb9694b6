"""Precision and recall of every category, merged over shards, and the figures averaged from them.

Shape letters: T IoU thresholds (0.50 to 0.95 by 0.05), R recall points (0 to 1 by 0.01), K categories,
A object areas (all, small, medium, large), L cuts per image and category.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from crqat_pipeline.evaluation.detection_table import FloatArray, IntArray

IOU_50, IOU_75 = 0, 5
AREAS = {"": 0, "s": 1, "m": 2, "l": 3}
UNMEASURED = -1.0


@dataclass(frozen=True)
class PrecisionTable:
    """precision_TRKA at the last cut, recall_TKAL at every cut; -1 where a category has no object to find."""

    precision_TRKA: FloatArray
    recall_TKAL: FloatArray


def merge(parts: Iterable[tuple[IntArray, PrecisionTable]], num_categories: int) -> PrecisionTable:
    """Put the columns of each shard in their places; nothing is averaged, so the merge is exact."""
    precision_TRKA: FloatArray | None = None
    recall_TKAL: FloatArray | None = None
    for columns_K, part in parts:
        if precision_TRKA is None or recall_TKAL is None:
            t, r, _, a = part.precision_TRKA.shape
            precision_TRKA = np.full((t, r, num_categories, a), UNMEASURED)
            recall_TKAL = np.full((t, num_categories, a, part.recall_TKAL.shape[3]), UNMEASURED)
        precision_TRKA[:, :, columns_K] = part.precision_TRKA
        recall_TKAL[:, columns_K] = part.recall_TKAL
    if precision_TRKA is None or recall_TKAL is None:
        raise ValueError("Merging needs at least one shard; got none. Give a ground truth with categories.")
    return PrecisionTable(precision_TRKA, recall_TKAL)


def mean_measured(values: FloatArray) -> float:
    """The mean of what could be measured, in the libraries' order of summation; -1 if nothing could."""
    measured = values[values > UNMEASURED]
    return float(np.mean(measured)) if measured.size else UNMEASURED


def figures(
    table: PrecisionTable, limits: Collection[int], category_groups: Mapping[str, Collection[int]]
) -> dict[str, float]:
    """AP and AR figures in [0, 1], -1 where there was nothing to measure.

    category_groups: figure name (such as "APr") -> columns of its categories. limits: the protocol's cuts; with
    more than one, recall at each smaller cut n is reported as ARn.
    """
    precision_TRKA, recall_TKAL = table.precision_TRKA, table.recall_TKAL
    result = {
        "AP": mean_measured(precision_TRKA[..., 0]),
        "AP50": mean_measured(precision_TRKA[IOU_50, ..., 0]),
        "AP75": mean_measured(precision_TRKA[IOU_75, ..., 0]),
    }
    result |= {f"AP{n}": mean_measured(precision_TRKA[..., a]) for n, a in AREAS.items() if n}
    for name, columns in category_groups.items():
        result[name] = mean_measured(precision_TRKA[:, :, np.array(sorted(columns), np.int64), 0])
    result |= {f"AR{n}": mean_measured(recall_TKAL[:, :, a, -1]) for n, a in AREAS.items()}
    for position, limit in enumerate(list(limits)[:-1]):
        result[f"AR{limit}"] = mean_measured(recall_TKAL[:, :, 0, position])
    return result
