"""The exit of a text-guided block whose inputs were rounded before the gate.

W (y, a p) = W_y y + sum over heads h of a_h (W_h p_h): the products with the weight take integers, and the gate scales
their sums.

Shape letters: B images, M heads, C channels of a head, O output channels, H W pixels, P = H * W.
"""

from __future__ import annotations

from crqat_pipeline.detectors.yolo_world.gate import MaxSigmoidGate, TextGuidedCsp
from crqat_pipeline.export.integer_weight import IntegerWeight, integer_weight
from crqat_pipeline.export.onnx.code_grid import grid_of
from crqat_pipeline.export.onnx.convolution import geometry, integer_values, pre_activation_quantizer
from crqat_pipeline.export.onnx.emission import Emission
from crqat_pipeline.export.onnx.feature_map import FeatureMap, Plain
from crqat_pipeline.export.onnx.one_stage.blocks import activated
from crqat_pipeline.quantization.channel_affine import affine_of
from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer
from crqat_pipeline.quantization.layers import QuantConv2d


def is_exchanged(emission: Emission, block: TextGuidedCsp) -> bool:
    """Whether this graph runs the block's exit on integers from before the gate."""
    conv = block.exit.conv
    if not isinstance(conv, QuantConv2d) or not conv.exchanged_bits or not emission.form.is_quantized:
        return False
    quantizers = (conv.weight_quantizer, block.plain_operand, block.gate.projected_operand)
    return all(isinstance(each, FakeQuantizer) and each.is_on for each in quantizers)


def exchanged_exit(
    emission: Emission, block: TextGuidedCsp, plain: FeatureMap, gated: FeatureMap, opened_BM1P: str
) -> Plain:
    """plain: what passes ungated, side by side. gated: what the gate's projection reads."""
    conv, norm, gate, graph = block.exit.conv, block.exit.bn, block.gate, emission.graph
    assert isinstance(conv, QuantConv2d)
    assert isinstance(block.plain_operand, FakeQuantizer)
    assert isinstance(gate.projected_operand, FakeQuantizer)
    name, heads = emission.name(conv), gate.num_heads
    ungated, *by_heads = _parts(integer_weight(conv, affine_of(norm)), heads, gate.guide.out_features)
    shape = geometry(conv)

    y = emission.on_grid(block.plain_operand, plain)
    weight = integer_values(emission, name, ungated, grid_of(block.plain_operand))
    bias = [] if ungated.bias_O is None else [graph.constant(ungated.bias_O, f"{name}.bias")]
    sum_BOHW = graph.node("Conv", y, weight, *bias, name=name, **shape)

    p = _projected(emission, gate, gated)
    maps = _split(emission, p, [by_heads[0].codes.shape[1]] * heads, name)
    openings = _split(emission, opened_BM1P, [1] * heads, name)
    total_B1OP = ""
    for head, own in enumerate(by_heads):
        weight = integer_values(emission, f"{name}.head{head}", own, grid_of(gate.projected_operand))
        product = graph.node("Conv", maps[head], weight, name=name, **shape)
        scaled = graph.node("Mul", by_head(emission, product, 1, conv.out_channels, name), openings[head], name=name)
        total_B1OP = graph.node("Add", total_B1OP, scaled, name=name) if total_B1OP else scaled
    gated_BOHW = graph.node("Reshape", total_B1OP, graph.node("Shape", sum_BOHW, name=name), name=name)

    result = graph.node("Add", sum_BOHW, gated_BOHW, name=name)
    quantizer = pre_activation_quantizer(emission, conv, norm)
    return activated(emission, block.exit, result if quantizer is None else emission.on_grid(quantizer, Plain(result)))


def _projected(emission: Emission, gate: MaxSigmoidGate, gated: FeatureMap) -> str:
    """The rounded map. No activation function lies between convolution and quantizer: runtimes make one integer kernel
    of them and round the bias to its steps, which students are prepared for before pre-activation quantizers alone.
    """
    conv, quantizer, projected = gate.project.conv, gate.projected_operand, emission.emit(gate.project, gated)
    assert isinstance(quantizer, FakeQuantizer)
    form = emission.form
    is_prepared = pre_activation_quantizer(emission, conv, gate.project.bn) is not None
    if is_prepared or form.has_byte_activations or form.is_ranged:
        return emission.on_grid(quantizer, projected)
    values = emission.rounded(emission.floats(projected), grid_of(quantizer))
    emission.tap(quantizer, values, "values")
    return values


def by_head(emission: Emission, tensor: str, num_heads: int, channels: int, name: str) -> str:
    """(B, M * C, H, W) as (B, M, C, P)."""
    return emission.graph.node("Reshape", tensor, emission.graph.integers(0, num_heads, channels, -1), name=name)


def _split(emission: Emission, tensor: str, sizes: list[int], name: str) -> list[str]:
    """Along the second axis."""
    graph = emission.graph
    return graph.nodes("Split", tensor, graph.integers(*sizes), name=name, num_outputs=len(sizes), axis=1)


def _parts(weight: IntegerWeight, num_heads: int, num_gated: int) -> list[IntegerWeight]:
    """The weight of the ungated channels, with the bias; then that of each head's."""
    channels = num_gated // num_heads
    ends = [weight.codes.shape[1] - num_gated + channels * head for head in range(num_heads)]
    ungated, *gated = weight.codes.tensor_split(ends, dim=1)
    return [
        IntegerWeight(ungated, weight.scale_O, weight.bias_O),
        *(IntegerWeight(own, weight.scale_O, None) for own in gated),
    ]
