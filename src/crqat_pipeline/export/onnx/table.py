"""EMITTERS: which function writes which module class. A new block gets one small file and one row here.

Families have a folder each; `one_stage` holds what several of them share.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from torch import nn

from crqat_pipeline.detectors.dosod.detector import Dosod
from crqat_pipeline.detectors.dosod.neck import PlainNeck
from crqat_pipeline.detectors.dosod.text_adaptor import TextAdaptor
from crqat_pipeline.detectors.one_stage.backbone import Backbone, Stage
from crqat_pipeline.detectors.one_stage.blocks import Bottleneck, ConvUnit, CspBlock, PyramidPooling
from crqat_pipeline.detectors.one_stage.contrast import Contrast
from crqat_pipeline.detectors.one_stage.head import Head
from crqat_pipeline.export.onnx import convolution, linear
from crqat_pipeline.export.onnx.dosod import detector as dosod
from crqat_pipeline.export.onnx.emission import Emitter
from crqat_pipeline.export.onnx.one_stage import blocks, contrast, head
from crqat_pipeline.export.onnx.yolo_world.table import YOLO_WORLD_EMITTERS

EMITTERS: Mapping[type[nn.Module], Emitter] = MappingProxyType(
    {
        nn.Conv2d: convolution.convolution,
        nn.Linear: linear.linear,
        nn.LayerNorm: linear.layer_norm,
        nn.Sequential: linear.sequence,
        Backbone: blocks.backbone,
        Stage: blocks.stage,
        CspBlock: blocks.csp_block,
        Bottleneck: blocks.bottleneck,
        PyramidPooling: blocks.pyramid_pooling,
        ConvUnit: blocks.conv_unit,
        Head: head.head,
        Contrast: contrast.contrast,
        Dosod: dosod.dosod,
        PlainNeck: dosod.neck,
        TextAdaptor: dosod.text_adaptor,
        **YOLO_WORLD_EMITTERS,
    }
)
