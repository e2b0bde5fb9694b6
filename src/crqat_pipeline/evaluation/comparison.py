"""A student's detections paired with its teacher's: kept, renamed, missed, extra.

Shape letters: M detections of one image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crqat_pipeline.evaluation.confusion import box_ious

KEPT, RENAMED, MISSED, EXTRA = "kept", "renamed", "missed", "extra"
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ShownDetections:
    """Detections of one image: boxes_xyxy_M4 in its pixels, labels_M names, scores_M in [0, 1]."""

    boxes_xyxy_M4: FloatArray
    labels_M: tuple[str, ...]
    scores_M: FloatArray

    def above(self, threshold: float) -> ShownDetections:
        rows = np.flatnonzero(self.scores_M >= threshold)
        return self.take(rows[np.argsort(-self.scores_M[rows], kind="stable")])

    def scaled(self, factor: float) -> ShownDetections:
        """The same detections on an image enlarged by `factor`."""
        return ShownDetections(self.boxes_xyxy_M4.reshape(-1, 4) * factor, self.labels_M, self.scores_M)

    def take(self, rows: npt.NDArray[np.int64]) -> ShownDetections:
        return ShownDetections(self.boxes_xyxy_M4[rows], tuple(self.labels_M[row] for row in rows), self.scores_M[rows])


@dataclass(frozen=True)
class MarkedDetections:
    """What a student shows, then what only its teacher shows; marks_M: kept, renamed, extra or missed."""

    shown: ShownDetections
    marks_M: tuple[str, ...]

    def count(self, mark: str) -> int:
        return self.marks_M.count(mark)


def compare_detections(
    teacher: ShownDetections, student: ShownDetections, iou_threshold: float = 0.5
) -> MarkedDetections:
    """Pair the student's detections with the teacher's, same name first, then any name, best score first.

    kept: same name and overlap. renamed: overlap under another name ("teacher's → student's"). extra: no partner at
    the teacher. missed: a teacher's detection without a partner, with the teacher's box and score.
    """

    def sides(one: ShownDetections) -> FloatArray:
        corners = one.boxes_xyxy_M4.reshape(-1, 4)
        return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)

    overlap = box_ious(sides(student), sides(teacher))
    names = [np.array(one.labels_M, dtype=object) for one in (student, teacher)]
    same_name = np.asarray(names[0][:, None] == names[1][None], np.bool_)
    partner: dict[int, int] = {}
    for allowed in (same_name, ~same_name):
        for row in np.argsort(-student.scores_M, kind="stable").tolist():
            if row in partner:
                continue
            free = allowed[row] & (overlap[row] >= iou_threshold)
            free[list(partner.values())] = False
            if free.any():
                partner[row] = int(np.where(free, overlap[row], -1).argmax())
    marks, labels = [], []
    for row, label in enumerate(student.labels_M):
        other = teacher.labels_M[partner[row]] if row in partner else None
        marks.append(EXTRA if other is None else KEPT if other == label else RENAMED)
        labels.append(f"{other} → {label}" if marks[-1] == RENAMED else label)
    lost = [row for row in range(len(teacher.labels_M)) if row not in partner.values()]
    both = ShownDetections(
        np.concatenate([student.boxes_xyxy_M4.reshape(-1, 4), teacher.boxes_xyxy_M4.reshape(-1, 4)[lost]]),
        (*labels, *(teacher.labels_M[row] for row in lost)),
        np.concatenate([student.scores_M, teacher.scores_M[lost]]),
    )
    return MarkedDetections(both, (*marks, *[MISSED] * len(lost)))
