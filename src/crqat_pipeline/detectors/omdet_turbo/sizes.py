"""The released architecture, and a small one for tests and the embedded benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from crqat_pipeline.detectors.omdet_turbo.spec import OmDetTurboSpec

RELEASED = "omdet_turbo_tiny"
OPEN_SHAPES: Mapping[str, Any] = MappingProxyType(
    {
        "swin_width": 16,
        "swin_depths": (1, 2, 1, 1),
        "swin_heads": (1, 2, 2, 4),
        "window_size": 4,
        "hidden_dim": 32,
        "num_heads": 2,
        "feedforward_dim": 64,
        "decoder_layers": 2,
        "num_points": 2,
        "num_queries": 60,
        "task_hidden_dim": 64,
        "embedding_dim": 64,
        "positives_per_object": 5,
    }
)

SIZES: Mapping[str, Mapping[str, Any]] = MappingProxyType({RELEASED: {}, "omdet_turbo_open_shapes": OPEN_SHAPES})


def spec_of(size: str, **changes: Any) -> OmDetTurboSpec:
    """The validated spec of a row of SIZES with some fields changed."""
    return OmDetTurboSpec(**{**SIZES[size], **changes})
