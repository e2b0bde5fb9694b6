"""Which function writes which module of YOLO-World."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from torch import nn

from crqat_pipeline.detectors.common.attention import SoftmaxProduct
from crqat_pipeline.detectors.yolo_world.detector import YoloWorld
from crqat_pipeline.detectors.yolo_world.gate import GateProduct, MaxSigmoidGate, TextGuidedCsp
from crqat_pipeline.detectors.yolo_world.neck import Neck
from crqat_pipeline.detectors.yolo_world.text_enhancer import TextEnhancer
from crqat_pipeline.export.onnx.emission import Emitter
from crqat_pipeline.export.onnx.yolo_world import detector, text_enhancer, text_guided

YOLO_WORLD_EMITTERS: Mapping[type[nn.Module], Emitter] = MappingProxyType(
    {
        YoloWorld: detector.yolo_world,
        Neck: text_guided.neck,
        TextGuidedCsp: text_guided.text_guided_csp,
        MaxSigmoidGate: text_guided.max_sigmoid_gate,
        GateProduct: text_guided.gate_product,
        TextEnhancer: text_enhancer.text_enhancer,
        SoftmaxProduct: text_enhancer.pooled_attention,
    }
)
