"""A graph under construction: nodes, constants and names, checked when it becomes a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from crqat_pipeline.quantization import pack_codes

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

OPSET = INT4_OPSET = 21
IR_VERSIONS = {18: 8, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11}
"""The oldest version of the file format that knows each opset."""
MICROSOFT = "com.microsoft"
PRODUCER = "crqat-pipeline"
IMAGES = "images"
"""The first input of every graph."""


class OnnxGraph:
    """Collects nodes; tensors are referred to by name."""

    def __init__(self, opset: int = OPSET) -> None:
        self._opset = opset
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, TensorProto] = {}
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []
        self._num_of: dict[str, int] = {}

    def input(self, name: str, shape: Sequence[int | str], element_type: int) -> str:
        """Declare an input; a text in the shape names a free dimension."""
        from onnx import helper

        self._inputs.append(helper.make_tensor_value_info(name, element_type, list(shape)))
        return name

    def output(self, value: str, name: str, shape: Sequence[int | str], element_type: int) -> None:
        """Make a tensor an output under a name of its own."""
        from onnx import helper

        self._nodes.append(helper.make_node("Identity", [value], [name], name=f"output/{name}"))
        self._outputs.append(helper.make_tensor_value_info(name, element_type, list(shape)))

    def constant(self, values: np.ndarray | Tensor, name: str) -> str:
        """A stored tensor; the name must be new."""
        from onnx import numpy_helper

        array = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
        return self._store(numpy_helper.from_array(np.ascontiguousarray(array), self._fresh(name)))

    def int4_constant(self, codes: Tensor, name: str, *, is_signed: bool) -> str:
        """A tensor of 4-bit integers, two per byte, low nibble first; bytes before opset 21, which has no such type."""
        from onnx import TensorProto, helper

        if self._opset < INT4_OPSET:
            return self.constant(codes.to(torch.int8 if is_signed else torch.uint8), name)

        data = pack_codes(codes.reshape(1, -1), 4).numpy().tobytes()
        kind = TensorProto.INT4 if is_signed else TensorProto.UINT4
        return self._store(helper.make_tensor(self._fresh(name), kind, list(codes.shape), data, raw=True))

    def scalar(self, value: float, dtype: Any = np.float32) -> str:
        """A 0-d constant, stored once per value and dtype."""
        array = np.asarray(value, dtype=dtype)
        return self.once_constant(f"scalar/{array.dtype.name}/{array.item()!r}", array)

    def number(self, value: float, dtype: Any) -> str:
        """A constant without axes, for operators that refuse one axis of length 1; stored once per value and dtype."""
        from onnx import numpy_helper

        array = np.asarray(value, dtype=dtype)
        name = f"number/{array.dtype.name}/{array.item()!r}"
        return name if name in self._constants else self._store(numpy_helper.from_array(array, name))

    def uint4_scalar(self, value: int) -> str:
        """A 0-d UINT4 constant (a zero point), stored once per value."""
        from onnx import TensorProto, helper

        name = f"scalar/uint4/{value}"
        if name not in self._constants:
            self._store(helper.make_tensor(name, TensorProto.UINT4, [], bytes([value]), raw=True))
        return name

    def integers(self, *values: int) -> str:
        """A 1-d int64 constant (axes, shapes), stored once."""
        return self.once_constant("integers/" + "_".join(map(str, values)), np.asarray(values, dtype=np.int64))

    def once_constant(self, name: str, values: np.ndarray) -> str:
        """The constant of this name; stored at the first call."""
        if name not in self._constants:
            self.constant(values, name)
        return name

    def node(self, op: str, *inputs: str, name: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output; returns the output's name, which is also the node's."""
        return self.nodes(op, *inputs, name=name, num_outputs=1, domain=domain, **attributes)[0]

    def nodes(
        self, op: str, *inputs: str, name: str, num_outputs: int, domain: str = "", **attributes: Any
    ) -> list[str]:
        """Add a node with several outputs."""
        from onnx import helper

        fresh = self._fresh(f"{name}/{op}" if name else op)
        outputs = [fresh] if num_outputs == 1 else [f"{fresh}:{index}" for index in range(num_outputs)]
        self._nodes.append(helper.make_node(op, list(inputs), outputs, name=fresh, domain=domain, **attributes))
        return outputs

    def model(self, name: str, metadata: Mapping[str, str]) -> ModelProto:
        """The finished model, checked by onnx's own checker; constants that nothing reads are left out."""
        from onnx import checker, helper

        used = {tensor for node in self._nodes for tensor in node.input}
        constants = [tensor for tensor in self._constants.values() if tensor.name in used]
        graph = helper.make_graph(self._nodes, name, self._inputs, self._outputs, constants)
        opsets = [helper.make_opsetid("", self._opset)]
        if any(node.domain == MICROSOFT for node in self._nodes):
            opsets.append(helper.make_opsetid(MICROSOFT, 1))
        version = IR_VERSIONS[self._opset]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=version, producer_name=PRODUCER)
        helper.set_model_props(model, dict(metadata))
        checker.check_model(model)
        return model

    def _store(self, tensor: TensorProto) -> str:
        self._constants[tensor.name] = tensor
        return str(tensor.name)

    def _fresh(self, name: str) -> str:
        count = self._num_of.get(name, 0)
        self._num_of[name] = count + 1
        return name if count == 0 else f"{name}#{count}"
