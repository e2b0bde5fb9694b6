"""The student again, from nothing but the float graph and its encodings: what a toolchain has to make of them.

Shape letters: O output channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crqat_pipeline.export.onnx.code_grid import CodeGrid
from crqat_pipeline.export.vendor.ranges import activations_of, weight_scales_of

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


def requantized(graph: Path, encodings: Path) -> ModelProto:
    """The graph with every tensor that has an encoding rounded to its grid.

    Raises ValueError for encodings of tensors that the graph does not have, and for weights that do not lie on their
    grid.
    """
    import onnx

    model = onnx.load(graph)
    grids = activations_of(encodings)
    made = {name for node in model.graph.node for name in node.output}
    strangers = sorted(set(grids) - made)
    if strangers:
        raise ValueError(f"{encodings} has ranges of tensors that {graph} does not have: {strangers[:3]}.")
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        own = [name for name in node.output if name in grids]
        for index, name in enumerate(node.output):
            if name in own:
                node.output[index] = f"{name}/float"
        nodes.append(node)
        for name in own:
            nodes.extend(_rounded(model, name, grids[name]))
    kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    _check_weights(model, weight_scales_of(encodings), graph)
    return model


def _rounded(model: ModelProto, name: str, grid: CodeGrid) -> list[NodeProto]:
    """In floating point: a runtime that sees Q/DQ around a convolution quantizes its float weights in its own way."""
    from onnx import helper, numpy_helper

    numbers = {"scale": grid.scale, "low": -grid.zero_point, "high": grid.max_code - grid.zero_point}
    for label, number in numbers.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(number, np.float32), f"{name}/{label}"))
    steps = [
        ("Div", [f"{name}/float", f"{name}/scale"], f"{name}/steps"),
        ("Round", [f"{name}/steps"], f"{name}/rounded"),
        ("Clip", [f"{name}/rounded", f"{name}/low", f"{name}/high"], f"{name}/codes"),
        ("Mul", [f"{name}/codes", f"{name}/scale"], name),
    ]
    return [helper.make_node(op, inputs, [output], name=f"{name}/float/{op}") for op, inputs, output in steps]


def _check_weights(model: ModelProto, scales: Mapping[str, np.ndarray], graph: Path) -> None:
    from onnx import numpy_helper

    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for name, scale_O in scales.items():
        values = stored[name]
        grid = scale_O.reshape(-1, *[1] * (values.ndim - 1))
        moved = float(np.abs(np.rint(values / grid) * grid - values).max())
        if moved > 0:
            raise ValueError(f"Stored weights lie on their grid; {name} of {graph} moves by {moved:.3g}.")
