"""faster-coco-eval: the same figures in C++, an optional dependency."""

from __future__ import annotations

from typing import Any

from crqat_pipeline.evaluation.library_input import LibraryInput
from crqat_pipeline.evaluation.precision_table import PrecisionTable
from crqat_pipeline.evaluation.protocol import Protocol


def _silent(*_: Any) -> None:
    """The library's print function."""


def evaluate_fast(part: LibraryInput, protocol: Protocol) -> PrecisionTable:
    """Precision and recall by faster-coco-eval. Raises ImportError that names the extra if it is not there, and
    ValueError for LVIS objects flagged `ignore`, which the library does not know.
    """
    try:
        from faster_coco_eval.core.coco import COCO
        from faster_coco_eval.core.faster_eval_api import COCOeval_faster
    except ImportError as error:
        raise ImportError(
            "The backend 'fast' needs faster-coco-eval, which is not installed. Install the extra: "
            "pip install 'crqat-pipeline[run]', or use backend 'reference'."
        ) from error
    if protocol.is_federated and part.annotations.is_ignored_G.any():
        raise ValueError(
            f"The backend 'fast' does not know the flag `ignore` of LVIS objects; the ground truth has "
            f"{int(part.annotations.is_ignored_G.sum())}. Use backend 'reference'."
        )
    dataset = part.dataset()
    found = COCO(print_function=_silent)
    found.dataset = {**dataset, "annotations": part.results()}
    found.createIndex()
    evaluation = COCOeval_faster(
        COCO(dataset, print_function=_silent),
        found,
        "bbox",
        lvis_style=protocol.is_federated,
        print_function=_silent,
    )
    evaluation.params.maxDets = list(protocol.limits) or [max(len(part.detections), 1)]
    evaluation.evaluate()
    evaluation.accumulate()
    return PrecisionTable(evaluation.eval["precision"][..., -1], evaluation.eval["recall"])
