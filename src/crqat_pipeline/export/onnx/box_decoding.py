"""From bins to boxes: anchor points of any image size, mean bins, pixel xyxy.

Shape letters: B images, P pixels of a level, N regions of all levels, R bins per box side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crqat_pipeline.export.onnx.emission import Emission


def cell_points(emission: Emission, map_BCHW: str, stride_px: int, name: str) -> tuple[str, str]:
    """Cell centres (P, 2) as x, y in pixels and the stride (P, 1) of each, from the size of the map."""
    from onnx import TensorProto, helper

    graph = emission.graph
    size = graph.node("Shape", map_BCHW, name=name, start=2, end=4)
    sides = []
    for axis, shape in ((3, (1, -1)), (2, (-1, 1))):
        length = graph.node("Shape", map_BCHW, name=name, start=axis, end=axis + 1)
        one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
        ones = graph.node("ConstantOfShape", length, name=name, value=one)
        counted = graph.node("CumSum", ones, graph.scalar(0, np.int64), name=name)
        centres = graph.node("Sub", counted, graph.scalar(0.5), name=name)
        pixels = graph.node("Mul", centres, graph.scalar(float(stride_px)), name=name)
        line = graph.node("Reshape", pixels, graph.integers(*shape), name=name)
        grid = graph.node("Expand", line, size, name=name)
        sides.append(graph.node("Reshape", grid, graph.integers(-1, 1), name=name))
    points = graph.node("Concat", *sides, name=name, axis=1)
    zeros = graph.node("Mul", sides[0], graph.scalar(0.0), name=name)
    return points, graph.node("Add", zeros, graph.scalar(float(stride_px)), name=name)


def decoded_boxes(
    emission: Emission, bins_BNC: str, num_bins: int, points: Sequence[str], strides: Sequence[str], name: str
) -> str:
    """(B, N, 4) pixel xyxy: each side's distance is the mean bin of its softmax, in strides."""
    graph = emission.graph
    points_N2 = graph.node("Concat", *points, name=name, axis=0)
    strides_N1 = graph.node("Concat", *strides, name=name, axis=0)
    bins_BN4R = graph.node("Reshape", bins_BNC, graph.integers(0, 0, 4, num_bins), name=name)
    shares_BN4R = graph.node("Softmax", bins_BN4R, name=name, axis=3)
    values_R1 = graph.constant(np.arange(num_bins, dtype=np.float32)[:, None], f"{name}.bins")
    means_BN41 = graph.node("MatMul", shares_BN4R, values_R1, name=name)
    means_BN4 = graph.node("Reshape", means_BN41, graph.integers(0, 0, 4), name=name)
    distances_BN4 = graph.node("Mul", means_BN4, strides_N1, name=name)
    near, far = graph.nodes("Split", distances_BN4, graph.integers(2, 2), name=name, num_outputs=2, axis=2)
    top_left = graph.node("Sub", points_N2, near, name=name)
    bottom_right = graph.node("Add", points_N2, far, name=name)
    return graph.node("Concat", top_left, bottom_right, name=name, axis=2)
