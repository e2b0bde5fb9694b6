"""Graphs on CPUs whose 8-bit kernels are wrong.

x86 CPUs without VNNI add pairs of unsigned-by-signed 8-bit products in 16 bits and saturate: 2 * 255 * 127 does not
fit. 4-bit codes always fit; layers of signed 8-bit weights and 8-bit activations do not. Kernels of unsigned weights
add in 32 bits everywhere, and are 2.5 times slower where there is VNNI (onnxruntime 1.32).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from crqat_pipeline.model_files.onnx_facts import OnnxFacts

if TYPE_CHECKING:
    from onnx import ModelProto

CHANNELS = 16
MIDDLE = 128
"""What raises signed codes to unsigned ones, and the zero point that takes it back."""
CODES, ZERO_POINT = "{}.weight_codes", "{}.weight_zero_point"
"""Names of the constants of a layer."""


@cache
def is_saturating() -> bool:
    """Whether onnxruntime's integer convolution is wrong on this CPU for the largest codes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(_largest_product(), providers=["CPUExecutionProvider"])
    codes = np.full((1, CHANNELS, 8, 8), 255, np.uint8)
    (result,) = session.run(None, {"x": codes})
    return bool((result != 200).any())


def needs_raising(facts: OnnxFacts) -> bool:
    """Whether this CPU computes the graph rightly only with the weights of its wide layers raised."""
    return bool(facts.wide_layers) and facts.wide_weights != "uint8" and is_saturating()


def raise_weights(model: ModelProto, layers: Sequence[str]) -> None:
    """Store the int8 weights of these layers as uint8 with a zero point, in place: the same values.

    Raises ValueError for a graph that states them otherwise.
    """
    from onnx import numpy_helper

    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    readers = {node.input[0]: node for node in model.graph.node if node.op_type == "DequantizeLinear"}
    for layer in layers:
        codes = stored.get(CODES.format(layer))
        values = None if codes is None else numpy_helper.to_array(codes)
        if codes is None or values is None or values.dtype != np.int8:
            raise ValueError(
                f"This CPU (x86 without VNNI) saturates sums of the layer {layer!r}, and its weights are no bytes in "
                "this older graph. Export it again."
            )
        codes.CopyFrom(numpy_helper.from_array((values.astype(np.int16) + MIDDLE).astype(np.uint8), codes.name))
        name = ZERO_POINT.format(layer)
        model.graph.initializer.append(numpy_helper.from_array(np.full(len(values), MIDDLE, np.uint8), name))
        readers[codes.name].input.append(name)


def _largest_product() -> bytes:
    """QLinearConv 1x1 with all weights 127, scaled so that 255 everywhere gives 200."""
    from onnx import TensorProto, helper, numpy_helper

    constants = {
        "one": np.float32(1),
        "zero": np.uint8(0),
        "weight": np.full((CHANNELS, CHANNELS, 1, 1), 127, np.int8),
        "no_shift": np.int8(0),
        "result_scale": np.float32(CHANNELS * 127 * 255 / 200),
    }
    inputs = ["x", "one", "zero", "weight", "one", "no_shift", "result_scale", "zero"]
    shape = [1, CHANNELS, 8, 8]
    graph = helper.make_graph(
        [helper.make_node("QLinearConv", inputs, ["y"])],
        "saturation_test",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    content: bytes = model.SerializeToString()
    return content
