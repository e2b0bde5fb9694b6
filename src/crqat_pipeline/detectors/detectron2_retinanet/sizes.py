"""The sizes of detectron2's model zoo, and the small detector of the embedded benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from crqat_pipeline.detectors.common.selection import SelectionSpec
from crqat_pipeline.detectors.detectron2_retinanet.spec import RetinaNetSpec

OPEN_SHAPES: Mapping[str, Any] = MappingProxyType(
    {
        "depth": 18,
        "blocks": (1, 1, 1, 1),
        "stem_channels": 16,
        "res2_channels": 24,
        "pyramid_channels": 32,
        "has_p6_p7": False,
        "head_convs": 1,
        "anchor_scales": (2.5,),
        "aspect_ratios": (1.0,),
        "anchor_offset": 0.5,
        "embedding_dim": 64,
        "channel_order": "RGB",
        "pixel_mean": (114.0, 114.0, 114.0),
        "pixel_std": (58.0, 58.0, 58.0),
        "selection": SelectionSpec(nms_iou=0.5),
    }
)

SIZES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "detectron2_retinanet_open_shapes": OPEN_SHAPES,
        "detectron2_retinanet_r50_fpn": MappingProxyType({}),
        "detectron2_retinanet_r101_fpn": MappingProxyType({"depth": 101}),
    }
)


def spec_of(size: str, **changes: Any) -> RetinaNetSpec:
    """A size with some fields replaced. Raises ValueError (pydantic's) for a field that does not validate."""
    return RetinaNetSpec.model_validate({**SIZES[size], **changes})
