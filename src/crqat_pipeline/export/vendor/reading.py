"""The float graph of a student as a translator into another format reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from crqat_pipeline.export.onnx.code_grid import CodeGrid
from crqat_pipeline.export.vendor.fixed_shapes import known_shapes
from crqat_pipeline.export.vendor.graph import VendorGraph

if TYPE_CHECKING:
    from onnx import NodeProto


class GraphReading:
    """nodes: in order. constants, shapes: by tensor. grids: of clipped tensors. outputs: names, as in the graph."""

    def __init__(self, graph: VendorGraph) -> None:
        from onnx import numpy_helper

        model, ranges = graph
        self.nodes: list[NodeProto] = list(model.graph.node)
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self.shapes: Mapping[str, tuple[int, ...]] = {
            **{name: value.shape for name, value in self.constants.items()},
            **known_shapes(model),
        }
        self.grids: Mapping[str, CodeGrid] = ranges.activations
        self.outputs = [value.name for value in model.graph.output]
        self._weights = ranges.weights

    def is_whole(self, weight: str) -> bool:
        """Whether a stored weight lies on a grid."""
        return weight in self._weights

    def weight_codes(self, weight: str) -> tuple[np.ndarray, np.ndarray, int]:
        """int8 codes in the shape of a stored weight, their scale (O,) per output channel, and their bits."""
        grid = self._weights[weight]
        values, scale_O = self.constants[weight], grid.scale_O.detach().cpu().numpy().astype(np.float32)
        codes = np.rint(values / scale_O.reshape(-1, *[1] * (values.ndim - 1)))
        return codes.astype(np.int8), scale_O, grid.bits


def attributes(node: NodeProto) -> dict[str, Any]:
    """Attributes of a node by name, as Python values."""
    from onnx import helper

    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
