"""Detections of a whole set as NumPy columns: 56 bytes a row, where a list of dicts takes about ten times that.

Shape letters: M detections of the set.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crqat_pipeline.detection_data.record_spelling import whole_number
from crqat_pipeline.evaluation.input_faults import NUM_SHOWN, EvaluationInputError, Fault

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

COLUMNS = ("image_id", "category_id", "bbox", "score")


def _id(value: Any) -> int:
    """Ids of results are as annotation files may spell them: 139, "000000000139"."""
    return value if type(value) is int else whole_number(value)


@dataclass(frozen=True)
class DetectionTable:
    """image_ids_M, category_ids_M: int64 ids of the annotation file. boxes_xywh_M4: float64, pixels of the
    original image. scores_M: float64. The order of rows decides between equal scores, as in a results file.
    """

    image_ids_M: IntArray
    category_ids_M: IntArray
    boxes_xywh_M4: FloatArray
    scores_M: FloatArray

    def __len__(self) -> int:
        return len(self.scores_M)

    def take(self, rows: npt.NDArray[Any]) -> DetectionTable:
        """The rows of a boolean mask or of an index array, in that order."""
        return DetectionTable(
            self.image_ids_M[rows], self.category_ids_M[rows], self.boxes_xywh_M4[rows], self.scores_M[rows]
        )

    def rows(self, first: int, last: int) -> DetectionTable:
        """The rows from first up to but not including last, without a copy."""
        part = slice(first, last)
        return DetectionTable(
            self.image_ids_M[part], self.category_ids_M[part], self.boxes_xywh_M4[part], self.scores_M[part]
        )

    def records(self) -> list[dict[str, Any]]:
        """COCO results: one dict per detection."""
        columns = (self.image_ids_M, self.category_ids_M, self.boxes_xywh_M4, self.scores_M)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [dict(zip(COLUMNS, row, strict=True)) for row in rows]

    @classmethod
    def empty(cls) -> DetectionTable:
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0))

    @classmethod
    def concatenate(cls, tables: Iterable[DetectionTable]) -> DetectionTable:
        parts = [cls.empty(), *tables]
        return cls(
            np.concatenate([part.image_ids_M for part in parts]),
            np.concatenate([part.category_ids_M for part in parts]),
            np.concatenate([part.boxes_xywh_M4 for part in parts]),
            np.concatenate([part.scores_M for part in parts]),
        )

    @classmethod
    def from_records(cls, records: Iterable[Mapping[str, Any]]) -> DetectionTable:
        """COCO results to columns. Raises EvaluationInputError for records without the four fields."""
        image_ids, category_ids, boxes, scores = array("q"), array("q"), array("d"), array("d")
        num_bad = 0
        shown: list[str] = []
        for row, record in enumerate(records):
            try:
                image_ids.append(_id(record["image_id"]))
                category_ids.append(_id(record["category_id"]))
                if len(record["bbox"]) != 4:
                    raise ValueError(f"bbox has {len(record['bbox'])} numbers")
                boxes.extend(record["bbox"])
                scores.append(record["score"])
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                num_bad += 1
                if len(shown) < NUM_SHOWN:
                    shown.append(f"record {row}: {type(error).__name__} {error}")
        if num_bad:
            rule = (
                "A detection needs integer image_id and category_id, bbox [x, y, width, height] in pixels and a "
                "number as score (COCO results format)."
            )
            raise EvaluationInputError("The detections", [Fault(rule, num_bad, tuple(shown))])
        return cls(
            np.array(image_ids, np.int64),
            np.array(category_ids, np.int64),
            np.array(boxes, np.float64).reshape(-1, 4),
            np.array(scores, np.float64),
        )
