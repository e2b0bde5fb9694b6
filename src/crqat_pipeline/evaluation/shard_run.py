"""A set cut into shards of categories, evaluated in this process or in several, merged exactly.

Categories do not influence one another once the protocol's cuts are made, so no shard changes a figure.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from crqat_pipeline.evaluation.annotation_table import AnnotationTable
from crqat_pipeline.evaluation.backend_fast import evaluate_fast
from crqat_pipeline.evaluation.backend_reference import evaluate_reference
from crqat_pipeline.evaluation.detection_table import DetectionTable, IntArray
from crqat_pipeline.evaluation.library_input import LibraryInput, select_categories
from crqat_pipeline.evaluation.precision_table import PrecisionTable, merge
from crqat_pipeline.evaluation.protocol import Protocol

BACKENDS = {"reference": evaluate_reference, "fast": evaluate_fast}
ROWS_PER_SHARD = 20_000


def plan_shards(annotations: AnnotationTable, detections: DetectionTable, rows_per_shard: int) -> list[IntArray]:
    """Runs of category columns with about this many objects and detections each (a category is never split)."""
    ids_K = annotations.category_ids_K
    rows_K = np.bincount(np.searchsorted(ids_K, detections.category_ids_M), minlength=len(ids_K))
    rows_K += np.bincount(np.searchsorted(ids_K, annotations.object_category_ids_G), minlength=len(ids_K))
    shard_K = np.cumsum(rows_K) // max(rows_per_shard, 1)
    return [np.flatnonzero(shard_K == shard) for shard in np.unique(shard_K)]


def _run(part: LibraryInput, backend: str, protocol: Protocol) -> tuple[IntArray, PrecisionTable]:
    return part.columns_K, BACKENDS[backend](part, protocol)


def evaluate_shards(
    annotations: AnnotationTable,
    detections: DetectionTable,
    protocol: Protocol,
    backend: str,
    *,
    processes: int = 1,
    rows_per_shard: int = ROWS_PER_SHARD,
) -> PrecisionTable:
    """Precision and recall of every category, in the order of annotations.category_ids_K.

    processes above 1: worker processes are spawned, so a script must call this under `if __name__ == "__main__"`.
    """
    columns = plan_shards(annotations, detections, rows_per_shard)
    parts: Iterator[LibraryInput] = (select_categories(annotations, detections, one) for one in columns)
    run = partial(_run, backend=backend, protocol=protocol)
    num_categories = len(annotations.category_ids_K)
    if processes <= 1 or len(columns) == 1:
        return merge(map(run, parts), num_categories)
    from multiprocessing import get_context

    with get_context("spawn").Pool(min(processes, len(columns))) as pool:
        return merge(pool.imap_unordered(run, parts), num_categories)
