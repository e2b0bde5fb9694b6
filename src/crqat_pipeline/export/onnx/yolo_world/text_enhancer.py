"""Emitters of version 1's image-pooling attention.

Shape letters: B images, X images or 1 (shared text), K prompts, D embedding, E width of the attention, M heads,
C = E / M, T = 27 tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from crqat_pipeline.detectors.common.attention import SoftmaxProduct
from crqat_pipeline.detectors.one_stage.spec import LEVEL_STRIDES_PX
from crqat_pipeline.detectors.yolo_world.text_enhancer import POOLED_SIDE, TextEnhancer
from crqat_pipeline.export.onnx.emission import Emission
from crqat_pipeline.export.onnx.feature_map import FeatureMap
from crqat_pipeline.export.onnx.graph import IMAGES
from crqat_pipeline.export.onnx.operand import operand, product, scaled


def pooled_attention(
    emission: Emission, block: SoftmaxProduct, query_XMKC: str, key_BMTC: str, value_BMTC: str, channels: int
) -> str:
    """(B, M, K, C)."""
    graph, name = emission.graph, emission.name(block)
    query = operand(emission, block.query_operand, query_XMKC, rank=4)
    key = operand(emission, block.key_operand, key_BMTC, rank=4)
    key = key._replace(values=graph.node("Transpose", key.values, name=name, perm=[0, 1, 3, 2]))
    products_BMKT = scaled(emission, product(emission, query, key, name), name)
    logits_BMKT = graph.node("Div", products_BMKT, graph.scalar(math.sqrt(channels)), name=name)
    shares_BMKT = graph.node("Softmax", logits_BMKT, name=name, axis=3)
    weights = operand(emission, block.weight_operand, shares_BMKT, rank=4)
    values = operand(emission, block.value_operand, value_BMTC, rank=4)
    return scaled(emission, product(emission, weights, values, name), name)


def text_enhancer(emission: Emission, enhancer: TextEnhancer, text_XKD: str, maps: Sequence[FeatureMap]) -> str:
    """T' = T + attention(T, pooled maps), (B, K, D)."""
    graph, name = emission.graph, emission.name(enhancer)
    pooled = []
    for projection, feature, stride_px in zip(enhancer.projections, maps, LEVEL_STRIDES_PX, strict=True):
        projected = emission.floats(emission.emit(projection, feature))
        rows = pooled_strips(emission, projected, stride_px, axis=2, name=name)
        grid_BE33 = pooled_strips(emission, rows, stride_px, axis=3, name=name)
        pooled.append(graph.node("Reshape", grid_BE33, graph.integers(0, 0, -1), name=name))
    joined_BET = graph.node("Concat", *pooled, name=name, axis=2)
    tokens_BTE = graph.node("Transpose", joined_BET, name=name, perm=[0, 2, 1])
    channels = enhancer.proj.in_features // enhancer.num_heads

    def by_head(rows: str) -> str:
        split = graph.node("Reshape", rows, graph.integers(0, 0, enhancer.num_heads, channels), name=name)
        return graph.node("Transpose", split, name=name, perm=[0, 2, 1, 3])

    query, key, value = (
        by_head(emission.emit(branch, rows))
        for branch, rows in (
            (enhancer.query, text_XKD),
            (enhancer.key, tokens_BTE),
            (enhancer.value, tokens_BTE),
        )
    )
    mixed_BMKC = emission.emit(enhancer.product, query, key, value, channels)
    mixed_BKMC = graph.node("Transpose", mixed_BMKC, name=name, perm=[0, 2, 1, 3])
    mixed_BKE = graph.node("Reshape", mixed_BKMC, graph.integers(0, 0, -1), name=name)
    return graph.node("Add", text_XKD, emission.emit(enhancer.proj, mixed_BKE), name=name)


def pooled_strips(emission: Emission, tensor: str, stride_px: int, *, axis: int, name: str) -> str:
    """Adaptive max-pooling of one axis to 3 values; strip i covers [floor(i n / 3), ceil((i + 1) n / 3)).

    n comes from the input image: where slices depend on the shape of what a quantized convolution computes, OpenVINO
    2026.4 gives all its channels the scale of the first.
    """
    graph = emission.graph
    side_px = graph.node("Shape", IMAGES, name=name, start=axis, end=axis + 1)
    size = graph.node("Div", side_px, graph.integers(stride_px), name=name)
    three = graph.integers(POOLED_SIDE)
    strips = []
    for index in range(POOLED_SIDE):
        start = graph.node("Div", graph.node("Mul", size, graph.integers(index), name=name), three, name=name)
        reach = graph.node("Mul", size, graph.integers(index + 1), name=name)
        raised = graph.node("Add", reach, graph.integers(POOLED_SIDE - 1), name=name)
        stop = graph.node("Div", raised, three, name=name)
        strip = graph.node("Slice", tensor, start, stop, graph.integers(axis), name=name)
        strips.append(graph.node("ReduceMax", strip, graph.integers(axis), name=name, keepdims=1))
    return graph.node("Concat", *strips, name=name, axis=axis)
