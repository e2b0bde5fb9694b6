"""Which detections a protocol looks at. Every cut is stable: of equal scores the earlier row stays.

Shape letters: M detections of the set.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crqat_pipeline.evaluation.annotation_table import AnnotationTable
from crqat_pipeline.evaluation.detection_table import DetectionTable, IntArray
from crqat_pipeline.evaluation.protocol import Protocol


def best_of_group(groups_M: IntArray, scores_M: npt.NDArray[np.float64], limit: int) -> npt.NDArray[np.bool_]:
    """Mask of the `limit` best scores of each group."""
    order = np.lexsort((-scores_M, groups_M))  # stable: rows of equal score stay in file order
    sorted_groups = groups_M[order]
    starts = np.flatnonzero(np.r_[True, sorted_groups[1:] != sorted_groups[:-1]])
    sizes = np.diff(np.r_[starts, len(order)])
    rank = np.arange(len(order)) - np.repeat(starts, sizes)
    keep = np.zeros(len(order), np.bool_)
    keep[order[rank < limit]] = True
    return keep


def in_annotated_pairs(table: DetectionTable, annotations: AnnotationTable) -> npt.NDArray[np.bool_]:
    """Federated rule: only detections of categories that the image has, or is known not to have, count."""
    positive = annotations.pair_keys(annotations.object_image_ids_G, annotations.object_category_ids_G)
    negative = annotations.pair_keys(annotations.negatives_P2[:, 0], annotations.negatives_P2[:, 1])
    return np.isin(
        annotations.pair_keys(table.image_ids_M, table.category_ids_M),
        np.union1d(positive, negative),
    )


def cut(table: DetectionTable, annotations: AnnotationTable, protocol: Protocol) -> DetectionTable:
    """The rows that decide the figures, in file order. Both libraries ignore the others."""
    if protocol.best_per_image is not None and len(table):
        table = table.take(best_of_group(table.image_ids_M, table.scores_M, protocol.best_per_image))
    if protocol.best_per_category is not None and len(table):
        table = table.take(best_of_group(table.category_ids_M, table.scores_M, protocol.best_per_category))
    if protocol.is_federated:
        table = table.take(in_annotated_pairs(table, annotations))
    return table
