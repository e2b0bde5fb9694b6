"""Detections that do not fit the ground truth are refused before anything is measured."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crqat_pipeline.evaluation.annotation_table import AnnotationTable
from crqat_pipeline.evaluation.detection_table import DetectionTable
from crqat_pipeline.evaluation.input_faults import NUM_SHOWN, EvaluationInputError, Fault


def _rows(table: DetectionTable, mask_M: npt.NDArray[np.bool_], rule: str) -> Fault:
    first = np.flatnonzero(mask_M)[:NUM_SHOWN]
    shown = tuple(
        f"record {row} (image {table.image_ids_M[row]}, category {table.category_ids_M[row]}, "
        f"bbox {table.boxes_xywh_M4[row].tolist()}, score {table.scores_M[row]})"
        for row in first
    )
    return Fault(rule, int(mask_M.sum()), shown)


def degenerate_rows(table: DetectionTable) -> npt.NDArray[np.bool_]:
    """Mask of boxes that are not finite or whose width, height or area is not above 0."""
    sides = table.boxes_xywh_M4[:, 2:]
    with np.errstate(invalid="ignore", over="ignore"):
        area = sides[:, 0] * sides[:, 1]
        bad = ~np.isfinite(table.boxes_xywh_M4).all(axis=1) | (sides <= 0).any(axis=1) | ~(area > 0)
    return np.asarray(bad | ~np.isfinite(area), np.bool_)


def check_detections(table: DetectionTable, annotations: AnnotationTable) -> None:
    """Raises EvaluationInputError with all faults, their counts and first offenders."""
    faults = [
        _rows(
            table,
            ~np.isin(table.image_ids_M, annotations.image_ids_I),
            "Detections must be on images of the ground truth; compare the two files' image ids.",
        ),
        _rows(
            table,
            ~np.isin(table.category_ids_M, annotations.category_ids_K),
            "Detections must be of categories of the ground truth; map prompt columns to its category ids.",
        ),
        _rows(table, ~np.isfinite(table.scores_M), "Scores must be finite numbers."),
        _rows(
            table,
            degenerate_rows(table),
            "Boxes [x, y, width, height] must be finite with width and height above 0 pixels; drop the others.",
        ),
    ]
    faults = [one for one in faults if one.count]
    if faults:
        raise EvaluationInputError("The detections", faults)


def detection_notes(table: DetectionTable) -> tuple[str, ...]:
    """What is odd about detections that can be scored: it is measured as it is, and said."""
    notes = []
    above = int((table.scores_M > 1).sum())
    if above:
        notes.append(f"{above} scores are above 1, the highest {table.scores_M.max():g}; only their order counts.")
    repeated = _num_repeated(table)
    if repeated:
        notes.append(
            f"{repeated} detections repeat another one (image, category, box and score); each counts as an error."
        )
    return tuple(notes)


def _num_repeated(table: DetectionTable) -> int:
    columns = (table.image_ids_M, table.category_ids_M, *table.boxes_xywh_M4.T, table.scores_M)
    order = np.lexsort(columns)
    is_same = np.ones(max(len(table) - 1, 0), np.bool_)
    for column_M in columns:
        is_same &= np.diff(column_M[order]) == 0
    return int(is_same.sum())
