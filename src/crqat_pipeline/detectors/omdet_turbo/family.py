"""The row of OmDet-Turbo. Nothing here imports transformers or timm before a detector is built."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from crqat_pipeline.detectors.family import DetectorFamily, ForeignWeights
from crqat_pipeline.detectors.omdet_turbo.sizes import RELEASED, SIZES, spec_of
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector

EXTRA = "omdet"


def build(size: str, **changes: Any) -> OpenVocabularyDetector:
    """Options: any field of OmDetTurboSpec. Raises ValueError that names the extra where transformers is missing."""
    OMDET_TURBO.check_installed()
    from crqat_pipeline.detectors.omdet_turbo.detector import OmDetTurbo

    return OmDetTurbo(spec_of(size, **changes))


def read_weights(source: str | Path) -> ForeignWeights:
    """See conversion.describe, which needs transformers."""
    from crqat_pipeline.detectors.omdet_turbo.conversion import describe

    return describe(source, partial(build, RELEASED))


SMALL = "omdet_turbo_open_shapes"

OMDET_TURBO = DetectorFamily(
    name="omdet_turbo",
    detectors=MappingProxyType({size: partial(build, size) for size in SIZES}),
    tested=((SMALL, {}),),
    meta_tested=tuple((size, {}) for size in SIZES if size != SMALL),
    read_weights=read_weights,
    extra=EXTRA,
    modules=("transformers", "timm"),
)
