"""What an evaluation returns: figures that carry their protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class CategoryResult:
    """Figures in [0, 1], -1 for a category without objects. num_detections: those that the protocol counts."""

    category_id: int
    name: str
    frequency: str
    num_objects: int
    num_detections: int
    ap: float
    ap50: float
    ap75: float
    ar: float


@dataclass(frozen=True)
class EvaluationResult:
    """metrics: AP, AP50, AP75, APs, APm, APl, AR, ARs, ARm, ARl; APr, APc, APf for LVIS; AR1, AR10 for COCO; one
    AP_<name> per category split. All in [0, 1], and -1 where there was nothing to measure, as both libraries say it.
    dataset: the name of the annotation file's set or slice. notes: facts a reader of the figures should know.
    """

    protocol: str
    backend: str
    dataset: str
    num_images: int
    num_objects: int
    num_detections: int
    metrics: Mapping[str, float]
    per_category: tuple[CategoryResult, ...]
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        return {**asdict(self), "metrics": dict(self.metrics)}
