"""EMITTERS: which function writes which module class. A new block gets one small file and one row here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from torch import nn

from crqat_pipeline.detectors.yolo_world.backbone import Backbone, Stage
from crqat_pipeline.detectors.yolo_world.blocks import Bottleneck, ConvUnit, CspBlock, PyramidPooling
from crqat_pipeline.detectors.yolo_world.contrast import Contrast
from crqat_pipeline.detectors.yolo_world.detector import YoloWorld
from crqat_pipeline.detectors.yolo_world.gate import GateProduct, MaxSigmoidGate, TextGuidedCsp
from crqat_pipeline.detectors.yolo_world.head import Head
from crqat_pipeline.detectors.yolo_world.neck import Neck
from crqat_pipeline.detectors.yolo_world.text_enhancer import PooledAttention, TextEnhancer
from crqat_pipeline.export.onnx import blocks, contrast, head, linear, text_enhancer, text_guided, yolo_world
from crqat_pipeline.export.onnx.emission import Emitter

EMITTERS: Mapping[type[nn.Module], Emitter] = MappingProxyType(
    {
        YoloWorld: yolo_world.yolo_world,
        Backbone: blocks.backbone,
        Stage: blocks.stage,
        CspBlock: blocks.csp_block,
        Bottleneck: blocks.bottleneck,
        PyramidPooling: blocks.pyramid_pooling,
        ConvUnit: blocks.conv_unit,
        nn.Conv2d: blocks.convolution,
        nn.Linear: linear.linear,
        nn.LayerNorm: linear.layer_norm,
        nn.Sequential: linear.sequence,
        Neck: text_guided.neck,
        TextGuidedCsp: text_guided.text_guided_csp,
        MaxSigmoidGate: text_guided.max_sigmoid_gate,
        GateProduct: text_guided.gate_product,
        TextEnhancer: text_enhancer.text_enhancer,
        PooledAttention: text_enhancer.pooled_attention,
        Head: head.head,
        Contrast: contrast.contrast,
    }
)
