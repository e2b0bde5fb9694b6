"""A graph whose computed sizes are constants: the toolchains of vendors do not compute with shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from crqat_pipeline.export.onnx.code_grid import CodeGrid
from crqat_pipeline.export.onnx.form_table import VENDOR
from crqat_pipeline.export.onnx.graph import IR_VERSIONS

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

Constants = dict[str, np.ndarray]
IR_VERSION = IR_VERSIONS[VENDOR.opset]


def fix_shapes(model: ModelProto, ranges: Mapping[str, CodeGrid]) -> ModelProto:
    """The same graph with every size a constant, and what depends on no input computed.

    model: its inputs have no free dimension. ranges: grids of clipped tensors; one that depends on no input is rounded
    to its grid here, since nobody rounds constants later. Raises ValueError where a shape stays unknown.
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    constants: Constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes, num_before = list(graph.node), -1
    while num_before != len(nodes):
        num_before = len(nodes)
        nodes = _without_known_shapes(nodes, constants, known_shapes(model))
        nodes = _without_computed(nodes, constants, ranges)
        _replace(model, nodes, constants)
    left = sorted({node.op_type for node in nodes if node.op_type in ("Shape", "ConstantOfShape", "Expand")})
    if left:
        raise ValueError(
            f"A graph for vendors has constants in place of {', '.join(left)}; some sizes are still free. Give batch "
            "and image size."
        )
    shapes = known_shapes(model)
    for node in nodes:
        if node.op_type == "Reshape" and node.output[0] in shapes:
            name = f"{node.output[0]}.shape"
            constants[name] = np.asarray(shapes[node.output[0]], np.int64)
            node.input[1] = name
        if node.op_type == "Clip":
            for index, bound in enumerate(node.input[1:], 1):  # the standard wants bounds without axes
                node.input[index] = f"{bound}.bound"
                constants[node.input[index]] = constants[bound].reshape(())
    nodes = _without_copies(nodes, {output.name for output in graph.output})
    _replace(model, nodes, constants)
    for output in graph.output:
        kind = output.type.tensor_type.elem_type
        output.CopyFrom(helper.make_tensor_value_info(output.name, kind, list(shapes[output.name])))
    return model


def known_shapes(model: ModelProto) -> dict[str, tuple[int, ...]]:
    """Tensors whose shape is known in numbers."""
    from onnx import shape_inference

    inferred = shape_inference.infer_shapes(model, data_prop=True).graph
    known = {}
    for value in (*inferred.value_info, *inferred.input, *inferred.output):
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(dim.HasField("dim_value") for dim in kind.shape.dim):
            known[value.name] = tuple(int(dim.dim_value) for dim in kind.shape.dim)
    return known


def _without_known_shapes(
    nodes: list[NodeProto], constants: Constants, shapes: Mapping[str, tuple[int, ...]]
) -> list[NodeProto]:
    """The nodes but those that ask for a known shape; the answers are then among the constants."""
    kept = []
    for node in nodes:
        if node.op_type != "Shape" or node.input[0] not in shapes:
            kept.append(node)
            continue
        attributes = {attribute.name: attribute.i for attribute in node.attribute}
        whole = shapes[node.input[0]]
        part = whole[attributes.get("start", 0) : attributes.get("end", len(whole))]
        constants[node.output[0]] = np.asarray(part, np.int64)
    return kept


def _without_computed(nodes: list[NodeProto], constants: Constants, ranges: Mapping[str, CodeGrid]) -> list[NodeProto]:
    """The nodes but those that read constants alone, up to the first tensor that has to be rounded; as above."""
    ready: list[NodeProto] = []
    known = {*constants, ""}
    kept = []
    for node in nodes:
        if not known.issuperset(node.input):
            kept.append(node)
            continue
        ready.append(node)
        known |= {name for name in node.output if name not in ranges}
    for name, value in _values(ready, constants).items():
        constants[name] = on_grid(value, ranges[name]) if name in ranges else value
    return kept


def _values(nodes: list[NodeProto], constants: Constants) -> dict[str, np.ndarray]:
    """What nodes in their order give."""
    if not nodes:
        return {}
    import onnxruntime
    from onnx import helper, numpy_helper

    outputs = [name for node in nodes for name in node.output]
    read = dict.fromkeys(name for node in nodes for name in node.input if name in constants)
    graph = helper.make_graph(
        nodes,
        "constants",
        [],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(constants[name], name) for name in read],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", VENDOR.opset)], ir_version=IR_VERSION)
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip(outputs, session.run(outputs, {}), strict=True))


def on_grid(values: np.ndarray, grid: CodeGrid) -> np.ndarray:
    """The values rounded to the grid, float32."""
    scale = np.float32(grid.scale)
    codes = np.clip(np.rint(values / scale), -grid.zero_point, grid.max_code - grid.zero_point)
    result: np.ndarray = (codes * scale).astype(np.float32)
    return result


def _without_copies(nodes: list[NodeProto], outputs: set[str]) -> list[NodeProto]:
    """Identity nodes that only name an output give their name to the tensor itself."""
    copies = {
        node.input[0]: node.output[0] for node in nodes if node.op_type == "Identity" and node.output[0] in outputs
    }
    kept = [node for node in nodes if not (node.op_type == "Identity" and node.output[0] in copies.values())]
    for node in kept:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = copies.get(name, name)
    return kept


def _replace(model: ModelProto, nodes: list[NodeProto], constants: Constants) -> None:
    """Nodes and the constants that they read."""
    from onnx import numpy_helper

    graph = model.graph
    kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
    used = {name for node in kept for name in node.input}
    del graph.node[:]
    graph.node.extend(kept)
    nodes[:] = list(graph.node)
    del graph.initializer[:]
    graph.initializer.extend(
        numpy_helper.from_array(np.array(value, order="C"), name) for name, value in constants.items() if name in used
    )
