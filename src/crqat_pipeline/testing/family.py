"""The contract test of a detector family: every check over every detector that its row wants tested."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import torch

from crqat_pipeline.detectors import DetectorFamily, OpenVocabularyDetector
from crqat_pipeline.testing import answers, graphs, labels, quantized, structure
from crqat_pipeline.testing.sample import lively

Check = Callable[[OpenVocabularyDetector], None]
FileCheck = Callable[[OpenVocabularyDetector, str, Mapping[str, Any]], None]

META_CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "shapes": structure.check_shapes,
        "parts": structure.check_parts,
        "products": structure.check_products,
        "cost": quantized.check_cost,
    }
)

FAMILY_CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "losses": labels.check_losses,
        "no objects": labels.check_no_objects,
        "assignment": labels.check_assignment,
        "prompt order": answers.check_prompt_order,
        "text per image": answers.check_text_per_image,
        "features": answers.check_features,
        "copies": answers.check_copies,
        "detections": answers.check_detections,
        "places": answers.check_places,
        "quantizers off": quantized.check_prepared,
        "quantization in stages": quantized.check_stages,
    }
)

FILE_CHECKS: Mapping[str, FileCheck] = MappingProxyType(
    {"packed file": quantized.check_packed, "onnx file": graphs.check_onnx}
)


def check_family(family: DetectorFamily) -> None:
    """Raises AssertionError that names the detector, its options, and the promise of the protocol that it breaks.

    Detectors of `tested` and `meta_tested` are built on the meta device for META_CHECKS; those of `tested` run for real
    on random images of at least 64 px for FAMILY_CHECKS and FILE_CHECKS; the latter find the detector by its name, so
    that a package has to be installed with its entry point. Needs no files and
    no network; small detectors take seconds.
    """
    for name, options in (*family.tested, *family.meta_tested):
        for promise, check in META_CHECKS.items():
            with torch.device("meta"):
                detector = family.detectors[name](**options)
            _run(partial(check, detector), promise, name, options)
        _run(partial(structure.check_order, detector, family.parts), "order of parts", name, options)
    for name, options in family.tested:
        for promise, check in FAMILY_CHECKS.items():
            _run(partial(check, lively(family.detectors[name], options)), promise, name, options)
        for promise, file_check in FILE_CHECKS.items():
            subject = lively(family.detectors[name], options)
            _run(partial(file_check, subject, name, options), promise, name, options)


def _run(check: Callable[[], None], promise: str, name: str, options: Mapping[str, Any]) -> None:
    try:
        check()
    except AssertionError as error:
        raise AssertionError(f"{name} with {dict(options)} breaks the promise {promise!r}: {error}") from error
