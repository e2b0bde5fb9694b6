"""The row that crqat_pipeline finds by this package's entry point."""

from __future__ import annotations

from typing import Any

from crqat_nanodet.detector import NanoDet, NanoDetSpec
from crqat_nanodet.foreign import read_file
from crqat_pipeline.detectors import DetectorFamily


def nanodet_m(**options: Any) -> NanoDet:
    """Options: fields of NanoDetSpec."""
    return NanoDet(NanoDetSpec.model_validate(options))


NANODET = DetectorFamily(
    name="nanodet",
    detectors={"nanodet_m": nanodet_m},
    tested=(("nanodet_m", {"embedding_dim": 16}),),
    meta_tested=(("nanodet_m", {}),),
    read_weights=read_file,
)
