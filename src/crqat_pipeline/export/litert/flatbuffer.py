"""A LiteRT file under construction: tensors, operators and buffers of the one subgraph.

The classes of the file format come with the package ai-edge-litert.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from crqat_pipeline.export.litert.runtime import IDENTIFIER
from crqat_pipeline.export.onnx.code_grid import CodeGrid

SCHEMA_VERSION = 3
BYTE_OFFSET = 128
"""Codes of a grid start at 0, those of the file at -128."""

VERSIONS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "CONV_2D": (1, 3),
        "CONCATENATION": (1, 2),
        "PAD": (1, 2),
        "MAX_POOL_2D": (1, 2),
        "RESIZE_NEAREST_NEIGHBOR": (1, 2),
        "DEQUANTIZE": (2, 2),
        "FULLY_CONNECTED": (5, 5),
    }
)
"""Operator -> version of it that computes on floats, and on int8; 1 where both are."""
INT4_CONVOLUTION = 7


class FlatModel:
    """Tensors are referred to by their number; constants of equal content are stored once."""

    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema = schema
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: dict[tuple[str, int], int] = {}
        self._buffers: list[Any] = [schema.BufferT()]
        self._constants: dict[Any, int] = {}
        self._names: dict[str, int] = {}
        self._grids: dict[int, CodeGrid] = {}

    def shape(self, tensor: int) -> tuple[int, ...]:
        return tuple(int(side) for side in self._tensors[tensor].shape)

    def grid(self, tensor: int) -> CodeGrid | None:
        """The grid of a computed tensor that holds codes."""
        return self._grids.get(tensor)

    def tensor(self, name: str, shape: Sequence[int], grid: CodeGrid | None = None) -> int:
        """A computed tensor: float32, or int8 codes of a grid."""
        kind = self._schema.TensorType.FLOAT32 if grid is None else self._schema.TensorType.INT8
        quantization = None if grid is None else self._steps([grid.scale], [grid.zero_point - BYTE_OFFSET])
        index = self._add(name, shape, kind, 0, quantization)
        if grid is not None:
            self._grids[index] = grid
        return index

    def constant(self, values: np.ndarray, name: str, scales: np.ndarray | None = None, bits: int = 32) -> int:
        """A stored float32, int32 or int8 array. scales: one per row of the first axis. bits 4: two codes a byte."""
        key = (values.dtype.str, values.shape, values.tobytes(), None if scales is None else scales.tobytes(), bits)
        if key in self._constants:
            return self._constants[key]
        types = self._schema.TensorType
        kind = {"float32": types.FLOAT32, "int32": types.INT32, "int8": types.INT8}[values.dtype.name]
        data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        if bits == 4:
            kind, data = types.INT4, _paired(values.reshape(-1))
        buffer = self._schema.BufferT()
        buffer.data = data
        self._buffers.append(buffer)
        steps = None if scales is None else self._steps(scales, np.zeros(len(scales)))
        self._constants[key] = self._add(name, values.shape, kind, len(self._buffers) - 1, steps)
        return self._constants[key]

    def operator(
        self, kind: str, inputs: Sequence[int], outputs: Sequence[int], *, version: int | None = None, **options: Any
    ) -> None:
        """options: fields of the operator's options in the file format; `options="Name"` says which, if not its own."""
        schema = self._schema
        made = schema.OperatorT()
        if version is None:
            version = VERSIONS.get(kind, (1, 1))[any(tensor in self._grids for tensor in outputs)]
        made.opcodeIndex = self._codes.setdefault((kind, version), len(self._codes))
        made.inputs, made.outputs = list(inputs), list(outputs)
        family = options.pop("options", None)
        if family is not None:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, family)
            made.builtinOptions = getattr(schema, f"{family}T")()
            for field, value in options.items():
                setattr(made.builtinOptions, field, value)
        self._operators.append(made)

    def to_bytes(self, inputs: Mapping[str, int], outputs: Mapping[str, int], metadata: Mapping[str, bytes]) -> bytes:
        """The file. inputs, outputs: name -> tensor; metadata: name -> content."""
        import flatbuffers

        schema = self._schema
        graph = schema.SubGraphT()
        graph.name = b"main"
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs = list(inputs.values()), list(outputs.values())
        model = schema.ModelT()
        model.version, model.subgraphs, model.description = SCHEMA_VERSION, [graph], b"crqat-pipeline"
        model.operatorCodes = [self._code(kind, version) for kind, version in self._codes]
        model.metadata = []
        model.buffers = list(self._buffers)
        for name, content in metadata.items():
            entry, buffer = schema.MetadataT(), schema.BufferT()
            buffer.data = np.frombuffer(content, np.uint8)
            entry.name, entry.buffer = name.encode(), len(model.buffers)
            model.buffers.append(buffer)
            model.metadata.append(entry)
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
        signature.inputs, signature.outputs = self._named(inputs), self._named(outputs)
        model.signatureDefs = [signature]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), IDENTIFIER)
        return bytes(builder.Output())

    def _add(self, name: str, shape: Sequence[int], kind: int, buffer: int, quantization: Any) -> int:
        made = self._schema.TensorT()
        count = self._names[name] = self._names.get(name, 0) + 1
        made.name = (name if count == 1 else f"{name};{count}").encode()
        made.shape, made.type, made.buffer, made.quantization = list(shape), kind, buffer, quantization
        made.hasRank = True
        self._tensors.append(made)
        return len(self._tensors) - 1

    def _steps(self, scales: Any, zero_points: Any) -> Any:
        made = self._schema.QuantizationParametersT()
        made.scale = np.asarray(scales, np.float32)
        made.zeroPoint = np.asarray(zero_points, np.int64)
        return made

    def _code(self, kind: str, version: int) -> Any:
        made = self._schema.OperatorCodeT()
        made.builtinCode = getattr(self._schema.BuiltinOperator, kind)
        made.deprecatedBuiltinCode = min(made.builtinCode, 127)
        made.version = version
        return made

    def _named(self, tensors: Mapping[str, int]) -> list[Any]:
        entries = []
        for name, index in tensors.items():
            entry = self._schema.TensorMapT()
            entry.name, entry.tensorIndex = name.encode(), index
            entries.append(entry)
        return entries


def _paired(codes: np.ndarray) -> np.ndarray:
    """Codes of four bits, the first of two in the low half of a byte."""
    nibbles = (codes.astype(np.int16) & 15).astype(np.uint8)
    if len(nibbles) % 2:
        nibbles = np.append(nibbles, np.uint8(0))
    result: np.ndarray = nibbles[::2] | (nibbles[1::2] << 4)
    return result
