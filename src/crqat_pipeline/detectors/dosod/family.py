"""The row of detectors without fusion."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from crqat_pipeline.detectors.common.losses import LossSpec
from crqat_pipeline.detectors.dosod.detector import Dosod
from crqat_pipeline.detectors.dosod.spec import DosodSpec
from crqat_pipeline.detectors.family import DetectorFamily
from crqat_pipeline.detectors.one_stage.scaling import MULTIPLIERS, scaled
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector

SIZES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        **{f"dosod_{size}": scaled(*multipliers) for size, multipliers in MULTIPLIERS.items()},
        "dosod_open_shapes": {
            "stem_channels": 16,
            "stage_channels": (24, 48, 64, 96),
            "stage_bottlenecks": (1, 1, 1, 1),
            "neck_bottlenecks": 1,
            "box_width": 32,
            "embedding_width": 48,
            "head_convs": 1,
            "num_bins": 3,
            "embedding_dim": 64,
            "adaptor_width": 64,
            "contrast_bias": -6.0,
            "loss": LossSpec(class_weight=0.5, box_weight=1.875, dfl_weight=0.375, scale_by_batch=False),
        },
    }
)
"""The published sizes n to x by YOLOv8's scaling, and a small one for the embedded benchmark."""


def build(size: str, **changes: Any) -> OpenVocabularyDetector:
    """Options: any field of DosodSpec."""
    return Dosod(DosodSpec(**{**SIZES[size], **changes}))


DOSOD = DetectorFamily(
    name="dosod",
    detectors=MappingProxyType({size: partial(build, size) for size in SIZES}),
    tested=(("dosod_open_shapes", {}),),
    meta_tested=tuple((f"dosod_{size}", {}) for size in MULTIPLIERS),
    embedding_option="embedding_dim",
)
