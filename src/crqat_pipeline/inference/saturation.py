"""A self-test for CPUs whose 8-bit kernels are wrong.

x86 CPUs without VNNI add pairs of unsigned-by-signed 8-bit products in 16 bits and saturate: 2 * 255 * 127 does not
fit. 4-bit codes always fit; layers of signed 8-bit weights and 8-bit activations do not. Graphs whose metadata says
`wide_weights: uint8` store the weights of such layers unsigned, whose kernels add in 32 bits.
"""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path

import numpy as np

CHANNELS = 16


@cache
def is_saturating() -> bool:
    """Whether onnxruntime's integer convolution is wrong on this CPU for the largest codes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(_largest_product(), providers=["CPUExecutionProvider"])
    codes = np.full((1, CHANNELS, 8, 8), 255, np.uint8)
    (result,) = session.run(None, {"x": codes})
    return bool((result != 200).any())


def warn_of_saturation(path: Path, num_layers: int) -> None:
    """Warn if a model with full-range 8-bit layers meets a CPU that computes them wrongly."""
    if is_saturating():
        warnings.warn(
            f"{path.name} has {num_layers} layers of full 8-bit codes, and this CPU (no VNNI) saturates their sums: "
            "results will be wrong. Export it again with this version, or use the PyTorch form.",
            RuntimeWarning,
            stacklevel=3,
        )


def self_test(num_wide_layers: int) -> str:
    """One line for people: what this CPU does with the largest 8-bit codes, and what that means for a graph."""
    if is_saturating():
        cpu = "this CPU (no VNNI) saturates sums of signed 8-bit weights with 8-bit activations"
    else:
        cpu = "this CPU adds 8-bit products without saturation; CPUs without VNNI do not"
    if num_wide_layers:
        return (
            f"self-test: {cpu}; {num_wide_layers} layers could reach that and have unsigned weights, which are right."
        )
    return f"self-test: {cpu}; no layer of this graph can reach that."


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
