"""Emitters of the contrast between regions and text.

Shape letters: B images, X images or 1 (shared text), K prompts, D embedding, C channels before the last convolution,
P pixels of a level.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from crqat_pipeline.detectors.one_stage.contrast import Contrast
from crqat_pipeline.export.onnx.convolution import is_integer
from crqat_pipeline.export.onnx.emission import Emission
from crqat_pipeline.export.onnx.operand import operand, product, scaled
from crqat_pipeline.quantization.channel_affine import affine_of
from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer

NORM_EPS = 1e-12


class TextSide(NamedTuple):
    """Version 2 with its BatchNorm moved to the text, <g e + h, t> = <e, g t> + <h, t>: weight_XKD, bias_XK1."""

    weight: str
    bias: str


def contrast(emission: Emission, block: Contrast, embedding_BDP: str, text_XKD: str) -> tuple[str, str]:
    """(B, K, P) logits, and the embedding (B, D, P) that is related (Contrast.forward)."""
    graph, name = emission.graph, emission.name(block)
    if block.norm is not None and not _is_quantized(emission, block):
        weight_XKD, bias_XK1 = _text_side(emission, block, text_XKD)
        products_BKP = graph.node("MatMul", weight_XKD, embedding_BDP, name=name)
        logits = graph.node("Add", products_BKP, bias_XK1, name=name)
        return logits, _batch_normed(emission, block.norm, embedding_BDP, name) if emission.wants_embeddings else ""
    if block.norm is None:
        scored = embedding_BDP
        embedding_BDP = normalized(emission, embedding_BDP, 1, name)
    else:
        scored = embedding_BDP = _batch_normed(emission, block.norm, embedding_BDP, name)
    text = operand(emission, block.similarity.text_operand, _unit_text(emission, block, text_XKD), rank=3)
    regions = operand(emission, block.similarity.region_operand, embedding_BDP, rank=3)
    products_BKP = scaled(emission, product(emission, text, regions, name), name)
    return graph.node("Add", products_BKP, graph.constant(block.bias.detach(), f"{name}.bias"), name=name), scored


def _batch_normed(emission: Emission, norm: nn.BatchNorm2d, embedding_BDP: str, name: str) -> str:
    graph = emission.graph
    gain, shift = (graph.constant(side_D[:, None], f"{name}.norm") for side_D in affine_of(norm))
    return graph.node("Add", graph.node("Mul", embedding_BDP, gain, name=name), shift, name=name)


def can_collapse(emission: Emission, block: Contrast, last: nn.Module) -> bool:
    """Whether the last convolution of the branch and the product are one linear map, in floating point."""
    is_pointwise = isinstance(last, nn.Conv2d) and last.kernel_size == (1, 1) and last.groups == 1
    is_linear = block.norm is not None and not _is_quantized(emission, block)
    return is_pointwise and is_linear and not is_integer(emission, last)


def collapsed_contrast(emission: Emission, block: Contrast, last: nn.Conv2d, map_BCP: str, text_XKD: str) -> str:
    """(B, K, P) logits without the embeddings between: <W x + c, t> = <x, W^T t> + <c, t>, since C < D."""
    graph, name = emission.graph, emission.name(block)
    weight_XKD, bias_XK1 = _text_side(emission, block, text_XKD)
    matrix_DC = graph.constant(last.weight.detach().flatten(1), f"{emission.name(last)}.weight")
    folded_XKC = graph.node("MatMul", weight_XKD, matrix_DC, name=name)
    if last.bias is not None:
        column_D1 = graph.constant(last.bias.detach()[:, None], f"{emission.name(last)}.bias")
        bias_XK1 = graph.node("Add", graph.node("MatMul", weight_XKD, column_D1, name=name), bias_XK1, name=name)
    products_BKP = graph.node("MatMul", folded_XKC, map_BCP, name=name)
    return graph.node("Add", products_BKP, bias_XK1, name=name)


def _text_side(emission: Emission, block: Contrast, text_XKD: str) -> TextSide:
    assert block.norm is not None
    graph, name = emission.graph, emission.name(block)
    gain_D, shift_D = affine_of(block.norm)
    unit_XKD = _unit_text(emission, block, text_XKD)
    offset_XK1 = graph.node("MatMul", unit_XKD, graph.constant(shift_D[:, None], f"{name}.shift"), name=name)
    bias = graph.node("Add", offset_XK1, graph.constant(block.bias.detach(), f"{name}.bias"), name=name)
    return TextSide(graph.node("Mul", unit_XKD, graph.constant(gain_D, f"{name}.gain"), name=name), bias)


def _unit_text(emission: Emission, block: Contrast, text_XKD: str) -> str:
    graph, name = emission.graph, emission.name(block)
    scale = graph.constant(block.logit_scale.detach().exp(), f"{name}.logit_scale")
    return graph.node("Mul", normalized(emission, text_XKD, 2, name), scale, name=name)


def _is_quantized(emission: Emission, block: Contrast) -> bool:
    sides = (block.similarity.region_operand, block.similarity.text_operand)
    return emission.form.is_quantized and any(isinstance(side, FakeQuantizer) and side.is_on for side in sides)


def normalized(emission: Emission, tensor: str, axis: int, name: str) -> str:
    """Divided by its length along an axis."""
    graph = emission.graph
    length = graph.node("ReduceL2", tensor, graph.integers(axis), name=name, keepdims=1)
    return graph.node("Div", tensor, graph.node("Max", length, graph.scalar(NORM_EPS), name=name), name=name)
