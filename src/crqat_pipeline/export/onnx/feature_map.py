"""Feature maps that exist only on paper until somebody needs their values.

Concatenation, max-pooling and nearest upsampling only move values or pick the largest, so rounding to a grid may
happen before them as well as after: the codes are the same, bit for bit. A consumer that quantizes its input
asks for the codes of the parts and moves bytes instead of floats.

Shape letters: B images, C channels, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Plain:
    """A float tensor (B, C, H, W) of the graph."""

    tensor: str


@dataclass(frozen=True)
class Joined:
    """Maps side by side along the channels."""

    parts: tuple[FeatureMap, ...]


@dataclass(frozen=True)
class Pooled:
    """Max-pooling with stride 1 and equal size: kernel and padding in pixels."""

    source: FeatureMap
    kernel: int
    padding: int


@dataclass(frozen=True)
class Doubled:
    """Nearest upsampling to twice the height and width."""

    source: FeatureMap


FeatureMap: TypeAlias = Plain | Joined | Pooled | Doubled
