"""Emitters of the text-guided blocks: gate, T-CSP, text enhancer, neck.

Shape letters: B images, X images or 1 (shared text), M heads, C channels of a head, K prompts, D embedding, H W
pixels, P = H * W, T pooled tokens, E width of the enhancer.
"""

from __future__ import annotations

import math

from crqat_pipeline.detectors.yolo_world.gate import GateProduct, MaxSigmoidGate, TextGuidedCsp
from crqat_pipeline.detectors.yolo_world.neck import Neck
from crqat_pipeline.export.onnx.emission import Emission
from crqat_pipeline.export.onnx.feature_map import Doubled, FeatureMap, Joined, Plain
from crqat_pipeline.export.onnx.one_stage.blocks import branches
from crqat_pipeline.export.onnx.operand import Operand, operand, product, scaled
from crqat_pipeline.export.onnx.yolo_world.exchanged_gate import by_head, exchanged_exit, is_exchanged


def gate_product(emission: Emission, block: GateProduct, map_BMCP: str, guide_XMKC: str, channels: int) -> str:
    """(B, M, 1, P): the largest product over the prompts, divided by sqrt(C)."""
    graph, name = emission.graph, emission.name(block)
    guide = operand(emission, block.guide_operand, guide_XMKC, rank=4)
    pixels = operand(emission, block.map_operand, map_BMCP, rank=4)
    scores_BMKP, scale = product(emission, guide, pixels, name)
    highest = graph.node("ReduceMax", scores_BMKP, graph.integers(2), name=name, keepdims=1)
    best_BM1P = scaled(emission, Operand(highest, scale), name)
    return graph.node("Div", best_BM1P, graph.scalar(math.sqrt(channels)), name=name)


def opening(emission: Emission, gate: MaxSigmoidGate, feature: FeatureMap, text_XKD: str) -> str:
    """(B, M, 1, P): the share of each head that passes."""
    graph, name = emission.graph, emission.name(gate)
    heads = gate.num_heads
    guide_XKE = emission.emit(gate.guide, text_XKD)
    guide_XKMC = graph.node("Reshape", guide_XKE, graph.integers(0, 0, heads, -1), name=name)
    guide_XMKC = graph.node("Transpose", guide_XKMC, name=name, perm=[0, 2, 1, 3])
    channels = gate.guide.out_features // heads
    map_BMCP = by_head(emission, emission.floats(feature), heads, channels, name)
    scaled_BM1P = emission.emit(gate.product, map_BMCP, guide_XMKC, channels)
    bias = graph.constant(gate.head_bias.detach().reshape(1, heads, 1, 1), f"{name}.head_bias")
    return graph.node("Sigmoid", graph.node("Add", scaled_BM1P, bias, name=name), name=name)


def max_sigmoid_gate(emission: Emission, gate: MaxSigmoidGate, feature: FeatureMap, text_XKD: str) -> Plain:
    graph, name = emission.graph, emission.name(gate)
    opened_BM1P = opening(emission, gate, feature, text_XKD)
    projected = emission.floats(emission.emit(gate.project, feature))
    channels = gate.guide.out_features // gate.num_heads
    projected_BMCP = by_head(emission, projected, gate.num_heads, channels, name)
    gated_BMCP = graph.node("Mul", projected_BMCP, opened_BM1P, name=name)
    return Plain(graph.node("Reshape", gated_BMCP, graph.node("Shape", projected, name=name), name=name))


def text_guided_csp(emission: Emission, block: TextGuidedCsp, feature: FeatureMap, text_XKD: str) -> Plain:
    collected = branches(emission, block, feature)
    if is_exchanged(emission, block):
        opened_BM1P = opening(emission, block.gate, collected[-1], text_XKD)
        return exchanged_exit(emission, block, Joined(tuple(collected)), collected[-1], opened_BM1P)
    collected.append(emission.emit(block.gate, collected[-1], text_XKD))
    result: Plain = emission.emit(block.exit, Joined(tuple(collected)))
    return result


def neck(emission: Emission, block: Neck, features: dict[str, FeatureMap], text_XKD: str) -> dict[str, FeatureMap]:
    """td_p4, td_p3, bu_p4, bu_p5."""
    c3, c4, c5 = features["c3"], features["c4"], features["c5"]
    td_p4 = emission.emit(block.td_p4, Joined((Doubled(c5), c4)), text_XKD)
    td_p3 = emission.emit(block.td_p3, Joined((Doubled(td_p4), c3)), text_XKD)
    if block.text_enhancer is not None:
        text_XKD = emission.emit(block.text_enhancer, text_XKD, (td_p3, td_p4, c5))
    bu_p4 = emission.emit(block.bu_p4, Joined((emission.emit(block.down_3, td_p3), td_p4)), text_XKD)
    bu_p5 = emission.emit(block.bu_p5, Joined((emission.emit(block.down_4, bu_p4), c5)), text_XKD)
    return {"td_p4": td_p4, "td_p3": td_p3, "bu_p4": bu_p4, "bu_p5": bu_p5}
