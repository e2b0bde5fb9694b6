"""A graph of opset 18 as older opsets state it: inputs that were attributes then.

MOVED: operator -> the opset in which one of its attributes became its second input, and the attribute's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import ModelProto

MOVED: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "ReduceL2": (18, "axes"),
        "ReduceMax": (18, "axes"),
        "ReduceMin": (18, "axes"),
        "ReduceMean": (18, "axes"),
        "ReduceSum": (13, "axes"),
        "Squeeze": (13, "axes"),
        "Unsqueeze": (13, "axes"),
        "Split": (13, "split"),
    }
)
RESIZE_WITHOUT_REGION = 13
IR_VERSIONS = {12: 7, 13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8}
"""The oldest version of the file format that knows each opset."""


def lower(model: ModelProto, opset: int) -> ModelProto:
    """The model in an opset from 12 to 18, in place. Raises ValueError for an operator that it does not have."""
    from onnx import checker, helper, numpy_helper

    graph = model.graph
    values = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        since, attribute = MOVED.get(node.op_type, (0, ""))
        if opset < since and len(node.input) > 1:
            numbers = [int(number) for number in numpy_helper.to_array(values[node.input[1]])]
            node.attribute.append(helper.make_attribute(attribute, numbers))
            del node.input[1:]
        if node.op_type == "Resize" and opset < RESIZE_WITHOUT_REGION and not node.input[1]:
            node.input[1] = "no_region"
            if "no_region" not in values:
                values["no_region"] = numpy_helper.from_array(np.zeros(0, np.float32), "no_region")
    used = {name for node in graph.node for name in node.input}
    del graph.initializer[:]
    graph.initializer.extend(tensor for name, tensor in values.items() if name in used)
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", opset))
    model.ir_version = IR_VERSIONS[opset]
    try:
        checker.check_model(model, full_check=True)
    except checker.ValidationError as error:
        raise ValueError(
            f"The graph has an operator that opset {opset} does not have: {' '.join(str(error).split())[:200]} Take a "
            "newer opset, up to 18."
        ) from error
    return model
