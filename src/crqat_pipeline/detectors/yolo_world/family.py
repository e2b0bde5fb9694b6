"""The row of YOLO-World."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import Any

from crqat_pipeline.detectors.family import DetectorFamily
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.detectors.yolo_world.conversion import describe
from crqat_pipeline.detectors.yolo_world.detector import YoloWorld
from crqat_pipeline.detectors.yolo_world.sizes import SIZES, spec_of


def build(size: str, version: int = 2, **changes: Any) -> OpenVocabularyDetector:
    """Options: version 1 or 2, and any field of YoloWorldSpec."""
    return YoloWorld(spec_of(size, version=version, **changes))


SMALL = ("yolo_world_open_shapes_2", "yolo_world_n")

YOLO_WORLD = DetectorFamily(
    name="yolo_world",
    detectors=MappingProxyType({size: partial(build, size) for size in SIZES}),
    tested=tuple((size, {"version": version}) for size in SMALL for version in (1, 2)),
    meta_tested=tuple((size, {"version": version}) for size in SIZES if size not in SMALL for version in (1, 2)),
    read_weights=describe,
    embedding_option="embedding_dim",
)
