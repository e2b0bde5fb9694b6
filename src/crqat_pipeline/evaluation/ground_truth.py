"""Ground truth for scoring, read by the rules that training reads annotation files by.

Boxes are counted as the reference evaluators count them: those that leave their image stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from crqat_pipeline.detection_data.annotation_faults import Fault as RecordFault
from crqat_pipeline.detection_data.annotation_file import AnnotationFile
from crqat_pipeline.detection_data.annotation_records import ReadingRules
from crqat_pipeline.evaluation.input_faults import EvaluationInputError, fault

SCORING = ReadingRules(is_for_scoring=True)
RULES: Mapping[str, str] = MappingProxyType(
    {
        "missing section": "An annotation file needs this list.",
        "empty list": "An annotation file needs records in this list.",
        "malformed record": "Records need the fields of COCO, spelled as COCO spells them.",
        "duplicate id": "Image ids and category ids must be unique.",
        "unknown image": "Annotations must belong to images of the file.",
        "unknown category": "Annotations must belong to categories of the file.",
        "faulty boxes": "Boxes must be four finite numbers, width and height not below 0.",
        "normalized boxes": "Boxes must be in pixels.",
    }
)
"""Kind of fault -> the rule that is broken."""


def scorable(ground_truth: Mapping[str, Any]) -> AnnotationFile:
    """The records of a COCO or LVIS dict in one spelling; what has been read already is taken as it is.

    Raises EvaluationInputError with every fault, by rule.
    """
    truth = ground_truth if isinstance(ground_truth, AnnotationFile) else AnnotationFile(ground_truth, rules=SCORING)
    if truth.faults:
        kinds = dict.fromkeys(one.kind for one in truth.faults)
        found = [fault(RULES.get(kind, f"{kind.capitalize()}."), _texts(truth.faults, kind)) for kind in kinds]
        raise EvaluationInputError(f"The ground truth{f' {truth.source}' * bool(truth.source)}", found)
    return truth


def reading_notes(truth: AnnotationFile) -> tuple[str, ...]:
    """What was repaired or left out when the ground truth was read."""
    return tuple(
        f"Ground truth repaired or left out, {kind}: {which}." for kind, which in truth.records.left_out.items()
    )


def _texts(faults: Sequence[RecordFault], kind: str) -> list[str]:
    return [one.text for one in faults if one.kind == kind]
