"""The row of detectron2's RetinaNet. Nothing here imports detectron2 before a detector is built."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from crqat_pipeline.detectors.detectron2_retinanet.sizes import SIZES, spec_of
from crqat_pipeline.detectors.family import DetectorFamily, ForeignWeights
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector


def build(size: str, **changes: Any) -> OpenVocabularyDetector:
    """Options: any field of RetinaNetSpec. Raises ValueError that says what to install where it is missing."""
    spec = spec_of(size, **changes)
    DETECTRON2_RETINANET.check_installed()
    from crqat_pipeline.detectors.detectron2_retinanet.detector import TextRetinaNet

    return TextRetinaNet(spec)


def read_weights(source: str | Path) -> ForeignWeights:
    """See conversion.describe, which needs detectron2."""
    from crqat_pipeline.detectors.detectron2_retinanet.conversion import describe

    return describe(source, DETECTRON2_RETINANET.detectors)


SMALL = "detectron2_retinanet_open_shapes"
BOTTLENECKS = MappingProxyType(
    {"depth": 50, "blocks": (1, 1, 1, 1), "bottleneck_channels": 8, "has_p6_p7": True, "aspect_ratios": (0.5, 2.0)}
)

DETECTRON2_RETINANET = DetectorFamily(
    name="detectron2_retinanet",
    detectors=MappingProxyType({size: partial(build, size) for size in SIZES}),
    tested=((SMALL, {}), (SMALL, BOTTLENECKS)),
    meta_tested=tuple((size, {}) for size in SIZES if size != SMALL),
    read_weights=read_weights,
    modules=("detectron2",),
    install="docs/how_to/use_with_detectron2.md says how to install detectron2, which no package registry has",
)
