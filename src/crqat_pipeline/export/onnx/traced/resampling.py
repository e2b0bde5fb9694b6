"""Operators that read a map between its cells: RESAMPLING, ATen operator -> who writes it.

Shape letters: B images, C channels, H W cells, h w cells of the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import fx

from crqat_pipeline.export.onnx.traced.translation import Operator, Translation, Written, with_defaults

aten = torch.ops.aten
NEAREST: Mapping[str, str] = MappingProxyType(
    {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
)
PADDING = ("zeros", "border", "reflection")
BILINEAR = 0
"""torch's number of the interpolation mode."""


def _nearest(translation: Translation, node: fx.Node) -> Written:
    source, shape, factors = with_defaults(node, None, None, None)
    return _resized(translation, node, source, shape, factors, NEAREST)


def _bilinear(translation: Translation, node: fx.Node) -> Written:
    source, shape, are_corners_aligned, factors = with_defaults(node, None, None, False, None)
    places = "align_corners" if are_corners_aligned else "half_pixel"
    attributes = {"mode": "linear", "coordinate_transformation_mode": places}
    return _resized(translation, node, source, shape, factors, attributes)


def _resized(
    translation: Translation, node: fx.Node, source: Any, shape: Any, factors: Any, attributes: Mapping[str, str]
) -> str:
    """(B, C, H, W) to (B, C, h, w), by the factors where the detector's code gave these, else to the shape (h, w)."""
    graph, value = translation.graph, translation.tensor(source)
    if factors is not None:
        scales = graph.constant(np.asarray([1, 1, *factors], np.float32), f"{node.name}.scales")
        return graph.node("Resize", value, "", scales, name=node.name, **attributes)
    kept = graph.node("Shape", value, name=node.name, start=0, end=2)
    sizes = graph.node("Concat", kept, translation.sizes(shape), name=node.name, axis=0)
    return graph.node("Resize", value, "", "", sizes, name=node.name, **attributes)


def _grid_sample(translation: Translation, node: fx.Node) -> Written:
    """Places are x, y in [-1, 1] in torch and in ONNX."""
    source, places, mode, padding, are_corners_aligned = node.args
    if mode != BILINEAR:
        raise ValueError(
            f"Traced ONNX graphs sample maps bilinearly; got {node.name!r} with torch's mode {mode}. Use "
            "grid_sample(..., mode='bilinear')."
        )
    return translation.graph.node(
        "GridSample",
        translation.tensor(source),
        translation.tensor(places),
        name=node.name,
        mode="linear",
        padding_mode=PADDING[padding],  # type: ignore[index]
        align_corners=int(bool(are_corners_aligned)),
    )


RESAMPLING: Mapping[Any, Operator] = MappingProxyType(
    {
        aten.upsample_nearest2d.vec: _nearest,
        aten.upsample_bilinear2d.vec: _bilinear,
        aten.grid_sampler_2d.default: _grid_sample,
    }
)
