"""Whether a graph out of a file is one of ours: its inputs, outputs and stored numbers, looked at before it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crqat_pipeline.export.onnx.graph import IMAGES
from crqat_pipeline.model_files.number_limits import LARGEST_ACTIVATION, LARGEST_GAIN

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

OUTPUTS = ("boxes", "scores")
TEXTS = "text_embeddings"
QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")
FLOATS = {1: np.float32, 10: np.float16, 11: np.float64}
"""ONNX's number of a float type -> how its raw bytes are read."""


def check_graph(model: ModelProto, *, has_text_input: bool, path: Path) -> None:
    """Raises ValueError for another signature, tensors outside the file, and numbers that are not finite.

    Steps of quantizing nodes must be above zero as well.
    """
    graph = model.graph
    wanted = {IMAGES, TEXTS} if has_text_input else {IMAGES}
    inputs, outputs = {each.name for each in graph.input}, {each.name for each in graph.output}
    if not wanted <= inputs or not set(OUTPUTS) <= outputs:
        raise ValueError(
            f"An exported graph takes {', '.join(sorted(wanted))} and gives {', '.join(OUTPUTS)}; {path} takes "
            f"{sorted(inputs)[:5]} and gives {sorted(outputs)[:5]}. Export it again."
        )
    images = next(each for each in graph.input if each.name == IMAGES)
    if len(images.type.tensor_type.shape.dim) != 4:
        raise ValueError(
            f"The input {IMAGES!r} has four axes (B, 3, H, W); that of {path} has others. Export it again."
        )
    scales = {node.input[1] for node in graph.node if node.op_type in QUANTIZERS and len(node.input) > 1}
    for tensor in graph.initializer:
        _check_numbers(tensor, tensor.name in scales, path)
    for node in (*graph.node, *(node for function in model.functions for node in function.node)):
        _check_node(node, path)
    if graph.sparse_initializer:
        raise ValueError(f"An exported graph has no sparse tensors; {path} has some. Export it again.")


def _check_node(node: NodeProto, path: Path) -> None:
    """Raises ValueError for numbers and graphs inside a node that no graph of ours has."""
    for attribute in node.attribute:
        if attribute.HasField("g") or attribute.graphs or attribute.HasField("sparse_tensor"):
            raise ValueError(f"An exported graph has no graphs in its nodes; {node.name!r} of {path} has one.")
        for tensor in (*([attribute.t] if attribute.HasField("t") else ()), *attribute.tensors):
            _check_numbers(tensor, False, path)


def _check_numbers(tensor: TensorProto, is_scale: bool, path: Path) -> None:
    if tensor.external_data or tensor.data_location:
        raise ValueError(
            f"An exported graph is one file; tensor {tensor.name!r} of {path} lies elsewhere. Export it again."
        )
    if tensor.data_type not in FLOATS:
        return
    try:
        raw = np.frombuffer(tensor.raw_data, FLOATS[tensor.data_type])
    except ValueError as error:
        raise ValueError(f"Tensor {tensor.name!r} of {path} is cut off: {error}. Export it again.") from error
    values = raw if raw.size else np.asarray(tensor.float_data or tensor.double_data, np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"Stored numbers are finite; tensor {tensor.name!r} of {path} has NaN or infinity.")
    if is_scale and not (values > 0).all():
        raise ValueError(f"Steps are above zero; tensor {tensor.name!r} of {path} has {values.min():.3g}.")
    largest = LARGEST_ACTIVATION if is_scale else LARGEST_GAIN
    if values.size and (is_scale or values.size > 1) and np.abs(values).max() > largest:  # one number may be a mask's
        raise ValueError(
            f"Numbers of a graph are {largest:g} at most; tensor {tensor.name!r} of {path} has "
            f"{np.abs(values).max():.3g}. Export it again."
        )
