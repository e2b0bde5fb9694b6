"""The libraries that define the published numbers: pycocotools for COCO, lvis for LVIS.

lvis 0.5.3 names `numpy.float`, which NumPy 2 does not have. Only its own module is given a NumPy that does: neither
the library's files nor NumPy change for anyone else.
"""

from __future__ import annotations

import contextlib
import io
import logging
from typing import Any

import numpy as np

from crqat_pipeline.evaluation.library_input import LibraryInput
from crqat_pipeline.evaluation.precision_table import PrecisionTable
from crqat_pipeline.evaluation.protocol import Protocol


class _NumpyWithFloat:
    """numpy, plus the name `float` that it dropped in 1.24."""

    def __getattr__(self, name: str) -> Any:
        return float if name == "float" else getattr(np, name)


def lvis_on_this_numpy() -> Any:
    """The module lvis.eval, usable with the installed NumPy; a release that needs no help is left alone."""
    from importlib.metadata import version

    import lvis.eval as module

    if version("lvis") == "0.5.3" and not hasattr(np, "float"):
        module.np = _NumpyWithFloat()
    return module


def matched_coco(part: LibraryInput, protocol: Protocol) -> Any:
    """A COCOeval that has matched detections to objects, image by image, and not yet accumulated."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    dataset = part.dataset()
    with contextlib.redirect_stdout(io.StringIO()):
        truth, found = COCO(), COCO()
        truth.dataset = dataset
        truth.createIndex()
        found.dataset = {**dataset, "annotations": part.results()}
        found.createIndex()
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.params.maxDets = list(protocol.limits)
        evaluation.evaluate()
    return evaluation


def _evaluate_coco(part: LibraryInput, protocol: Protocol) -> PrecisionTable:
    evaluation = matched_coco(part, protocol)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    return PrecisionTable(evaluation.eval["precision"][..., -1], evaluation.eval["recall"])


def _evaluate_lvis(part: LibraryInput, protocol: Protocol) -> PrecisionTable:
    module = lvis_on_this_numpy()
    logger = logging.Logger("lvis, silenced", level=logging.CRITICAL + 1)  # not in the logging tree of the process
    dataset = part.dataset()
    truth, found = module.LVIS.__new__(module.LVIS), module.LVISResults.__new__(module.LVISResults)
    for api, records in ((truth, dataset["annotations"]), (found, part.results())):
        api.logger = logger
        api.dataset = {**dataset, "annotations": records}
        api._create_index()
    evaluation = module.LVISEval(truth, found, "bbox")
    evaluation.logger = logger
    evaluation.evaluate()
    evaluation.accumulate()
    return PrecisionTable(evaluation.eval["precision"], evaluation.eval["recall"][..., np.newaxis])


def evaluate_reference(part: LibraryInput, protocol: Protocol) -> PrecisionTable:
    """Precision and recall by the library that defines the protocol."""
    return _evaluate_lvis(part, protocol) if protocol.is_federated else _evaluate_coco(part, protocol)
