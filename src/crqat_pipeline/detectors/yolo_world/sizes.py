"""The published sizes by their scaling rule, and the small detector of the embedded benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from crqat_pipeline.detectors.common.losses import LossSpec
from crqat_pipeline.detectors.one_stage.scaling import MULTIPLIERS, scaled
from crqat_pipeline.detectors.yolo_world.spec import YoloWorldSpec


def gate_heads(width: float, max_channels: int) -> tuple[int, ...]:
    """Heads of the gates at P3, P4, P5: 32 channels each."""
    return tuple(max(round(min(base, max_channels / 64) * width), 1) for base in (4, 8, 16))


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
        **{
            f"yolo_world_{size}": {**scaled(depth, width, most), "gate_heads": gate_heads(width, most)}
            for size, (depth, width, most) in MULTIPLIERS.items()
        },
        "yolo_world_open_shapes": OPEN_SHAPES,  # of the benchmark's first version, whose files go on to load
        # First boxes of 16, 32, 64 px and at most 32, 64, 128: in scenes of 128 px every level has objects of its own.
        "yolo_world_open_shapes_2": {**OPEN_SHAPES, "num_bins": 3},
    }
)


def spec_of(size: str, **changes: Any) -> YoloWorldSpec:
    """The validated spec of a row of SIZES with some fields changed."""
    return YoloWorldSpec(**{**SIZES[size], **changes})
