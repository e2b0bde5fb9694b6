"""The visible table of detectors: name -> builder. Being in the table means being tested."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.detectors.yolo_world.detector import YoloWorld
from crqat_pipeline.detectors.yolo_world.sizes import SIZES, spec_of
from crqat_pipeline.runtime.lookup import look_up


def _yolo_world(size: str, version: int = 2, **changes: Any) -> OpenVocabularyDetector:
    return YoloWorld(spec_of(size, version=version, **changes))


DETECTORS: Mapping[str, Callable[..., OpenVocabularyDetector]] = MappingProxyType(
    {name: partial(_yolo_world, name) for name in SIZES}
)


def build_detector(name: str, **options: Any) -> OpenVocabularyDetector:
    """A new detector with random weights.

    Options of the yolo_world rows: version 1 or 2 (default 2), and any field of YoloWorldSpec.
    Raises ValueError for an unknown name (with the nearest one) or an option that does not validate.
    """
    return look_up(DETECTORS, name, "detector")(**options)
