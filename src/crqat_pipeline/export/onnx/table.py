"""EMITTERS: which function writes which module class. A family with emitters of its own gets one folder and one row."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from torch import nn

from crqat_pipeline.export.onnx import convolution, linear
from crqat_pipeline.export.onnx.emission import Emitter
from crqat_pipeline.export.onnx.yolo_world.table import YOLO_WORLD_EMITTERS

EMITTERS: Mapping[type[nn.Module], Emitter] = MappingProxyType(
    {
        nn.Conv2d: convolution.convolution,
        nn.Linear: linear.linear,
        nn.LayerNorm: linear.layer_norm,
        nn.Sequential: linear.sequence,
        **YOLO_WORLD_EMITTERS,
    }
)
