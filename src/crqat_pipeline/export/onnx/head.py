"""Emitters of the head: contrast with text, box distances, anchor points, decoding.

Shape letters: B images, X images or 1 (shared text), K prompts, D embedding, P pixels of a level, N regions of all
levels, R bins per box side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crqat_pipeline.detectors.yolo_world.contrast import Contrast
from crqat_pipeline.detectors.yolo_world.head import Head
from crqat_pipeline.detectors.yolo_world.spec import LEVEL_STRIDES_PX
from crqat_pipeline.export.channel_affine import affine_of
from crqat_pipeline.export.onnx.emission import Emission
from crqat_pipeline.export.onnx.feature_map import FeatureMap
from crqat_pipeline.export.onnx.operand import operand, product, scaled
from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer

NORM_EPS = 1e-12


@dataclass(frozen=True)
class HeadTensors:
    """Names of class_logits_BNK, region_embeddings_BND, boxes_BN4 (pixel xyxy)."""

    class_logits: str
    region_embeddings: str
    boxes: str


def head(emission: Emission, block: Head, maps: Sequence[FeatureMap], text_XKD: str) -> HeadTensors:
    graph, name = emission.graph, emission.name(block)
    logits, embeddings, bins, points, strides = [], [], [], [], []
    levels = zip(maps, block.box_branches, block.embedding_branches, block.contrasts, LEVEL_STRIDES_PX, strict=True)
    for feature, box_branch, embedding_branch, contrast, stride_px in levels:
        embedding_BDHW = emission.floats(emission.emit(embedding_branch, feature))
        embedding_BDP = graph.node("Reshape", embedding_BDHW, graph.integers(0, 0, -1), name=name)
        logits.append(emission.emit(contrast, embedding_BDP, text_XKD))
        embeddings.append(embedding_BDP)
        bins_BCHW = emission.floats(emission.emit(box_branch, feature))
        bins.append(graph.node("Reshape", bins_BCHW, graph.integers(0, 0, -1), name=name))
        level_points, level_strides = _points(emission, bins_BCHW, stride_px, name)
        points.append(level_points)
        strides.append(level_strides)
    boxes = _decoded(emission, block, _rows(emission, bins, name), points, strides)
    return HeadTensors(_rows(emission, logits, name), _rows(emission, embeddings, name), boxes)


def contrast(emission: Emission, block: Contrast, embedding_BDP: str, text_XKD: str) -> str:
    """(B, K, P) logits. Version 2's BatchNorm moves to the text side: <g e + h, t> = <e, g t> + <h, t>."""
    graph, name = emission.graph, emission.name(block)
    scale = graph.constant(block.logit_scale.detach().exp(), f"{name}.logit_scale")
    bias = graph.constant(block.bias.detach(), f"{name}.bias")
    unit_XKD = graph.node("Mul", _normalized(emission, text_XKD, 2, name), scale, name=name)
    similarity = block.similarity
    is_quantized = any(
        isinstance(side, FakeQuantizer) and side.is_on and emission.form.is_quantized
        for side in (similarity.region_operand, similarity.text_operand)
    )
    if block.norm is None:
        embedding_BDP = _normalized(emission, embedding_BDP, 1, name)
    else:
        affine = affine_of(block.norm)
        gain, shift = (
            graph.constant(tensor_D.detach(), f"{name}.norm_{label}")
            for label, tensor_D in (("gain", affine.gain_C), ("shift", affine.shift_C))
        )
        if is_quantized:
            column = graph.integers(1)
            gain, shift = (graph.node("Unsqueeze", side, column, name=name) for side in (gain, shift))
            scaled_BDP = graph.node("Mul", embedding_BDP, gain, name=name)
            embedding_BDP = graph.node("Add", scaled_BDP, shift, name=name)
        else:
            shift_D1 = graph.node("Unsqueeze", shift, graph.integers(1), name=name)
            offset_XK1 = graph.node("MatMul", unit_XKD, shift_D1, name=name)
            bias = graph.node("Add", offset_XK1, bias, name=name)
            unit_XKD = graph.node("Mul", unit_XKD, gain, name=name)
    text = operand(emission, similarity.text_operand, unit_XKD, rank=3)
    regions = operand(emission, similarity.region_operand, embedding_BDP, rank=3)
    products_BKP = scaled(emission, product(emission, text, regions, name), name)
    return graph.node("Add", products_BKP, bias, name=name)


def _normalized(emission: Emission, tensor: str, axis: int, name: str) -> str:
    graph = emission.graph
    length = graph.node("ReduceL2", tensor, graph.integers(axis), name=name, keepdims=1)
    return graph.node("Div", tensor, graph.node("Max", length, graph.scalar(NORM_EPS), name=name), name=name)


def _rows(emission: Emission, levels: Sequence[str], name: str) -> str:
    """(B, C, P) of each level to (B, N, C)."""
    joined = emission.graph.node("Concat", *levels, name=name, axis=2)
    return emission.graph.node("Transpose", joined, name=name, perm=[0, 2, 1])


def _points(emission: Emission, map_BCHW: str, stride_px: int, name: str) -> tuple[str, str]:
    """Cell centres (P, 2) as x, y in pixels and the stride (P, 1) of each, from the size of the map."""
    from onnx import TensorProto, helper

    graph = emission.graph
    size = graph.node("Shape", map_BCHW, name=name, start=2, end=4)
    sides = []
    for axis, shape in ((3, (1, -1)), (2, (-1, 1))):
        length = graph.node("Shape", map_BCHW, name=name, start=axis, end=axis + 1)
        one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
        ones = graph.node("ConstantOfShape", length, name=name, value=one)
        counted = graph.node("CumSum", ones, graph.scalar(0, np.int64), name=name)
        centres = graph.node("Sub", counted, graph.scalar(0.5), name=name)
        pixels = graph.node("Mul", centres, graph.scalar(float(stride_px)), name=name)
        line = graph.node("Reshape", pixels, graph.integers(*shape), name=name)
        grid = graph.node("Expand", line, size, name=name)
        sides.append(graph.node("Reshape", grid, graph.integers(-1, 1), name=name))
    points = graph.node("Concat", *sides, name=name, axis=1)
    zeros = graph.node("Mul", sides[0], graph.scalar(0.0), name=name)
    return points, graph.node("Add", zeros, graph.scalar(float(stride_px)), name=name)


def _decoded(emission: Emission, block: Head, bins_BNC: str, points: Sequence[str], strides: Sequence[str]) -> str:
    """(B, N, 4) pixel xyxy: each side's distance is the mean bin of its softmax, in strides."""
    graph, name = emission.graph, emission.name(block)
    points_N2 = graph.node("Concat", *points, name=name, axis=0)
    strides_N1 = graph.node("Concat", *strides, name=name, axis=0)
    bins_BN4R = graph.node("Reshape", bins_BNC, graph.integers(0, 0, 4, block.num_bins), name=name)
    shares_BN4R = graph.node("Softmax", bins_BN4R, name=name, axis=3)
    values_R1 = graph.constant(np.arange(block.num_bins, dtype=np.float32)[:, None], f"{name}.bins")
    means_BN41 = graph.node("MatMul", shares_BN4R, values_R1, name=name)
    means_BN4 = graph.node("Reshape", means_BN41, graph.integers(0, 0, 4), name=name)
    distances_BN4 = graph.node("Mul", means_BN4, strides_N1, name=name)
    near, far = graph.nodes("Split", distances_BN4, graph.integers(2, 2), name=name, num_outputs=2, axis=2)
    top_left = graph.node("Sub", points_N2, near, name=name)
    bottom_right = graph.node("Add", points_N2, far, name=name)
    return graph.node("Concat", top_left, bottom_right, name=name, axis=2)
