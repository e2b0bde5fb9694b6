"""CLIP's text transformer as an ONNX graph whose weights are bytes.

Only weights are rounded, to 8 bits per output channel, or per token in the table of tokens; activations stay float32:
the outliers of CLIP's activations are known to suffer under rounding by ranges found on the fly, and a text of five
tokens takes little time anyway. The causal mask lets no token look ahead, so tokens behind the mark of the end change
nothing and need not be given.

Shape letters: K texts, T tokens, V vocabulary, C context, W width, N heads, E width of a head, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from crqat_pipeline.export.onnx.graph import OnnxGraph
from crqat_pipeline.text_encoders.clip_parts import ClipParts

if TYPE_CHECKING:
    from onnx import ModelProto

TOKENS, EMBEDDINGS = "tokens", "embeddings"
LARGEST_CODE = 127
EPSILON, SHORTEST = 1e-5, 1e-12
"""Of layer normalization, and of bringing rows to unit length, as in PyTorch."""
NAME_KEY = "crqat_text_encoder"


def text_tower(parts: ClipParts, *, has_byte_weights: bool = True) -> ModelProto:
    """tokens (K, T) int64, T at most the context, each row with one end mark, its largest number -> embeddings (K, D),
    of unit length where the encoder's are. has_byte_weights: False keeps float32.
    """
    from onnx import TensorProto

    graph = OnnxGraph()
    writer = _Writer(graph, parts, has_byte_weights)
    tokens_KT = graph.input(TOKENS, ["K", "T"], TensorProto.INT64)
    num_tokens = graph.node("Shape", tokens_KT, name="num_tokens", start=1, end=2)
    length = graph.node("Concat", num_tokens, num_tokens, name="length", axis=0)
    x_KTW = graph.node("Add", writer.embedded(tokens_KT), writer.positions(num_tokens), name="embedded")
    mask_TT = writer.mask(length)
    for layer in range(parts.num_layers):
        prefix = f"transformer.resblocks.{layer}"
        attended = writer.attention(writer.normalized(x_KTW, f"{prefix}.ln_1"), mask_TT, prefix)
        x_KTW = graph.node("Add", x_KTW, attended, name=f"{prefix}/attended")
        x_KTW = graph.node(
            "Add", x_KTW, writer.perceptron(writer.normalized(x_KTW, f"{prefix}.ln_2"), prefix), name=prefix
        )
    x_KTW = writer.normalized(x_KTW, "ln_final")
    ends_K1 = graph.node("ArgMax", tokens_KT, name="ends", axis=1, keepdims=1)
    x_KW = graph.node("GatherND", x_KTW, ends_K1, name="pooled", batch_dims=1)
    x_KD = graph.node(
        "MatMul", x_KW, writer.weight("text_projection", parts.tensors["text_projection"]), name="projected"
    )
    if parts.is_normalizing:
        length_K1 = graph.node("ReduceL2", x_KD, graph.integers(1), name="length_of_rows", keepdims=1)
        x_KD = graph.node(
            "Div", x_KD, graph.node("Max", length_K1, graph.scalar(SHORTEST), name="divisor"), name="unit"
        )
    graph.output(x_KD, EMBEDDINGS, ["K", int(parts.tensors["text_projection"].shape[1])], TensorProto.FLOAT)
    return graph.model("text tower", {NAME_KEY: parts.name})


def run_tower(graph: bytes, tokens_KT: np.ndarray) -> np.ndarray:
    """Embeddings (K, D) in onnxruntime as the page computes them: with basic optimizations. Beyond those, onnxruntime
    on a PC makes products of the weights in bytes that round the activations too.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    embeddings_KD: np.ndarray = session.run([EMBEDDINGS], {TOKENS: tokens_KT})[0]
    return embeddings_KD


def rounded(weight_IO: Tensor) -> tuple[Tensor, Tensor]:
    """Codes (int8, -127 to 127) and the scale of each column; a column of zeros gets the scale 1."""
    largest_O = weight_IO.abs().amax(0)
    scale_O = torch.where(largest_O > 0, largest_O / LARGEST_CODE, torch.ones_like(largest_O))
    return (weight_IO / scale_O).round().to(torch.int8), scale_O


class _Writer:
    """The pieces of a transformer; tensors of the graph are names."""

    def __init__(self, graph: OnnxGraph, parts: ClipParts, has_byte_weights: bool) -> None:
        self._graph, self._parts, self._has_byte_weights = graph, parts, has_byte_weights

    def weight(self, name: str, weight_IO: Tensor) -> str:
        """A matrix to multiply with from the right."""
        if not self._has_byte_weights:
            return self._graph.constant(weight_IO, name)
        codes_IO, scale_O = rounded(weight_IO)
        codes = self._graph.constant(codes_IO, f"{name}/codes")
        return self._graph.node(
            "DequantizeLinear", codes, self._graph.constant(scale_O, f"{name}/scale"), name=name, axis=1
        )

    def embedded(self, tokens_KT: str) -> str:
        """The rows of the tokens: only those that are looked up become float32."""
        graph, name = self._graph, "token_embedding.weight"
        table_VW = self._parts.tensors[name]
        if not self._has_byte_weights:
            return graph.node("Gather", graph.constant(table_VW, name), tokens_KT, name="tokens_embedded")
        codes_WV, scale_V = rounded(table_VW.T)
        codes_KTW = graph.node("Gather", graph.constant(codes_WV.T, f"{name}/codes"), tokens_KT, name="token_codes")
        scales = graph.constant(scale_V[:, None], f"{name}/scale")
        scales_KT1 = graph.node("Gather", scales, tokens_KT, name="token_scales")
        floats_KTW = graph.node("Cast", codes_KTW, name="token_floats", to=1)
        return graph.node("Mul", floats_KTW, scales_KT1, name="tokens_embedded")

    def positions(self, num_tokens: str) -> str:
        graph, name = self._graph, "positional_embedding"
        table_CW = graph.constant(self._parts.tensors[name], name)
        return graph.node("Slice", table_CW, graph.integers(0), num_tokens, graph.integers(0), name="positions")

    def mask(self, length: str) -> str:
        """Minus infinity where a token would look ahead, for the tokens that there are."""
        graph, size = self._graph, self._parts.context_length
        whole_CC = graph.constant(np.triu(np.full((size, size), -np.inf, np.float32), 1), "mask/whole")
        return graph.node("Slice", whole_CC, graph.integers(0, 0), length, graph.integers(0, 1), name="mask")

    def normalized(self, x: str, name: str) -> str:
        gain, shift = (self._graph.constant(self._parts.tensors[f"{name}.{kind}"], f"{name}.{kind}") for kind in _KINDS)
        return self._graph.node("LayerNormalization", x, gain, shift, name=name, axis=-1, epsilon=EPSILON)

    def linear(self, x: str, weight: str, bias: str, name: str) -> str:
        """weight, bias: names of tensors as PyTorch keeps them, (O, I) and (O,)."""
        graph = self._graph
        product = graph.node("MatMul", x, self.weight(weight, self._parts.tensors[weight].T.contiguous()), name=name)
        return graph.node("Add", product, graph.constant(self._parts.tensors[bias], bias), name=f"{name}/with_bias")

    def attention(self, x_KTW: str, mask_TT: str, prefix: str) -> str:
        graph, name = self._graph, f"{prefix}.attn"
        width = int(self._parts.tensors["positional_embedding"].shape[1])
        head_width = width // self._parts.num_heads
        stacked = self.linear(x_KTW, f"{name}.in_proj_weight", f"{name}.in_proj_bias", f"{name}/in_proj")
        shape = graph.integers(0, 0, 3, self._parts.num_heads, head_width)
        parted_KT3NE = graph.node("Reshape", stacked, shape, name=f"{name}/parted")
        parted_3KNTE = graph.node("Transpose", parted_KT3NE, name=f"{name}/by_head", perm=[2, 0, 3, 1, 4])
        q, k, v = (
            graph.node("Gather", parted_3KNTE, graph.number(place, np.int64), name=f"{name}/{part}", axis=0)
            for place, part in enumerate("qkv")
        )
        k_KNET = graph.node("Transpose", k, name=f"{name}/k_turned", perm=[0, 1, 3, 2])
        scaled = graph.node("Mul", q, graph.scalar(head_width**-0.5), name=f"{name}/q_scaled")
        likeness = graph.node("MatMul", scaled, k_KNET, name=f"{name}/likeness")
        masked = graph.node("Add", likeness, mask_TT, name=f"{name}/masked")
        shares_KNTT = graph.node("Softmax", masked, name=f"{name}/shares", axis=-1)
        mixed_KNTE = graph.node("MatMul", shares_KNTT, v, name=f"{name}/mixed")
        mixed_KTNE = graph.node("Transpose", mixed_KNTE, name=f"{name}/by_token", perm=[0, 2, 1, 3])
        mixed_KTW = graph.node("Reshape", mixed_KTNE, graph.integers(0, 0, width), name=f"{name}/heads_joined")
        return self.linear(mixed_KTW, f"{name}.out_proj.weight", f"{name}.out_proj.bias", f"{name}/out_proj")

    def perceptron(self, x_KTW: str, prefix: str) -> str:
        name = f"{prefix}.mlp"
        inner = self.linear(x_KTW, f"{name}.c_fc.weight", f"{name}.c_fc.bias", f"{name}/c_fc")
        active = self._quick_gelu(inner, name) if self._parts.has_quick_gelu else self._gelu(inner, name)
        return self.linear(active, f"{name}.c_proj.weight", f"{name}.c_proj.bias", f"{name}/c_proj")

    def _quick_gelu(self, x: str, name: str) -> str:
        graph = self._graph
        gate = graph.node(
            "Sigmoid", graph.node("Mul", x, graph.scalar(1.702), name=f"{name}/steeper"), name=f"{name}/gate"
        )
        return graph.node("Mul", x, gate, name=f"{name}/quick_gelu")

    def _gelu(self, x: str, name: str) -> str:
        return self._graph.node("Gelu", x, name=f"{name}/gelu")


_KINDS = ("weight", "bias")
