"""The published sizes by their scaling rule, and the small detector of the embedded benchmark."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from crqat_pipeline.detectors.common.losses import LossSpec
from crqat_pipeline.detectors.yolo_world.spec import YoloWorldSpec


def scaled(depth: float, width: float, max_channels: int) -> dict[str, Any]:
    """Fields of YoloWorldSpec from the depth and width multipliers (YOLOv8's compound scaling).

    Both published formats built their heads for 80 classes, which is the lower bound of the embedding branch's
    width (it matters for N only). Every gate head has 32 channels.
    """

    def channels(base: int) -> int:
        return 8 * math.ceil(min(base, max_channels) * width / 8)

    def repeats(base: int) -> int:
        return max(round(base * depth), 1)

    def heads(base: int) -> int:
        return max(round(min(base, max_channels / 64) * width), 1)

    stages = (channels(128), channels(256), channels(512), channels(1024))
    return {
        "stem_channels": channels(64),
        "stage_channels": stages,
        "stage_bottlenecks": (repeats(3), repeats(6), repeats(6), repeats(3)),
        "neck_bottlenecks": repeats(3),
        "gate_heads": (heads(4), heads(8), heads(16)),
        "box_width": max(16, stages[1] // 4, 64),
        "embedding_width": max(stages[1], 80),
    }


OPEN_SHAPES: Mapping[str, Any] = MappingProxyType(
    {
        "stem_channels": 16,
        "stage_channels": (24, 48, 64, 96),
        "stage_bottlenecks": (1, 1, 1, 1),
        "neck_bottlenecks": 1,
        "gate_heads": (2, 2, 3),
        "box_width": 32,
        "embedding_width": 48,
        "head_convs": 1,
        "num_bins": 8,
        "embedding_dim": 64,
        "enhancer_width": 64,
        "enhancer_heads": 4,
        "contrast_bias": -6.0,
        "full_precision": ("neck.*.gate.guide",),  # docs/decisions/0005
        "loss": LossSpec(class_weight=0.5, box_weight=1.875, dfl_weight=0.375, scale_by_batch=False),
    }
)

SIZES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "yolo_world_n": scaled(0.33, 0.25, 1024),
        "yolo_world_s": scaled(0.33, 0.50, 1024),
        "yolo_world_m": scaled(0.67, 0.75, 768),
        "yolo_world_l": scaled(1.00, 1.00, 512),
        "yolo_world_x": scaled(1.00, 1.25, 512),
        "yolo_world_open_shapes": OPEN_SHAPES,
    }
)


def spec_of(size: str, **changes: Any) -> YoloWorldSpec:
    """The validated spec of a row of SIZES with some fields changed."""
    return YoloWorldSpec(**{**SIZES[size], **changes})
