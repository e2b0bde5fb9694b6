"""Which function writes which module of YOLO-World. A new block gets one small file and one row here."""

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
from crqat_pipeline.export.onnx.emission import Emitter
from crqat_pipeline.export.onnx.yolo_world import blocks, contrast, detector, head, text_enhancer, text_guided

YOLO_WORLD_EMITTERS: Mapping[type[nn.Module], Emitter] = MappingProxyType(
    {
        YoloWorld: detector.yolo_world,
        Backbone: blocks.backbone,
        Stage: blocks.stage,
        CspBlock: blocks.csp_block,
        Bottleneck: blocks.bottleneck,
        PyramidPooling: blocks.pyramid_pooling,
        ConvUnit: blocks.conv_unit,
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
