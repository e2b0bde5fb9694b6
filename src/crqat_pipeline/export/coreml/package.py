"""A Core ML package, written and read again. Nothing runs it here: Core ML is Apple's systems' own.

Shape letters: B images, 3 RGB, H W pixels.
"""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.export.coreml.operators import WRITERS, Program
from crqat_pipeline.export.onnx.graph import IMAGES
from crqat_pipeline.export.onnx.requirements import require_onnx
from crqat_pipeline.export.vendor import VendorSpec
from crqat_pipeline.export.vendor.graph import build_vendor_graph
from crqat_pipeline.export.vendor.reading import GraphReading
from crqat_pipeline.model_files.onnx_facts import METADATA_KEY
from crqat_pipeline.structures.vocabulary import TextBank

PACKAGE = "coremltools"
NEWEST_OPSET = 18


@dataclass(frozen=True)
class CoremlPackage:
    """num_operators: of the program as it was read again, by kind."""

    path: Path
    file_bytes: int
    num_operators: Mapping[str, int]


def require_coreml() -> None:
    """Raises ValueError that names the extra if the package is missing."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise ValueError(
            "Core ML packages need coremltools, which cannot be found. Install the extra: pip install "
            "'crqat-pipeline[coreml]'."
        )


def write_coreml(
    path: Path,
    detector: OpenVocabularyDetector,
    image_size_px: tuple[int, int],
    text_bank: TextBank,
    *,
    batch_size: int = 1,
    extra_metadata: Mapping[str, Any] | None = None,
) -> CoremlPackage:
    """Write a package (a folder) for iOS 18 and later: images (B, 3, H, W), float32 RGB in [0, 1]; prompts inside.

    The program is read again: every convolution on a grid must have its codes, and every grid its rounding; only then
    the package gets its name. Raises ValueError for a missing extra, a detector without emitters, an operator that
    nobody writes, and a program that lacks codes or roundings.
    """
    require_onnx()
    require_coreml()
    spec = VendorSpec(opset=NEWEST_OPSET, batch_size=batch_size, image_size_px=image_size_px)
    graph = build_vendor_graph(detector, spec, text_bank, extra_metadata)
    stored = {entry.key: entry.value for entry in graph.model.metadata_props}[METADATA_KEY]
    reading = GraphReading(graph)
    with tempfile.TemporaryDirectory() as name:
        made = Path(name) / path.name
        model = _converted(reading)
        model.short_description = (
            "Open-vocabulary detector of crqat-pipeline; what it says of itself is in its metadata."
        )
        model.user_defined_metadata[METADATA_KEY] = stored
        model.save(str(made))
        found = operators_of(made)
        _check(found, reading)
        if path.exists():
            shutil.rmtree(path)
        shutil.move(made, path)
    return CoremlPackage(path, sum(file.stat().st_size for file in path.rglob("*") if file.is_file()), found)


def operators_of(path: Path) -> Mapping[str, int]:
    """Operators of a package's program by kind, weights of four bits as "int4 weights"."""
    import coremltools

    spec = coremltools.models.utils.load_spec(str(path))
    (function,) = spec.mlProgram.functions.values()
    (block,) = function.block_specializations.values()
    found = Counter(operation.type for operation in block.operations)
    small = coremltools.proto.MIL_pb2.DataType.Value("INT4")
    for operation in block.operations:
        if operation.type.startswith("constexpr"):
            data = operation.inputs["data"].arguments[0]
            kind = data.value.type if data.HasField("value") else None
            if kind is not None and kind.tensorType.dataType == small:
                found["int4 weights"] += 1
    return dict(found)


def _converted(reading: GraphReading) -> Any:
    import coremltools
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.mil import Function, types
    from coremltools.converters.mil.mil import Program as MilProgram

    target = coremltools.target.iOS18
    images = Builder.placeholder(shape=reading.shapes[IMAGES], dtype=types.fp32)
    with Function({IMAGES: images}, opset_version=target) as function:
        program = Program(reading, Builder, types.np_int4_dtype)
        program.values[IMAGES] = function.inputs[IMAGES]
        for node in reading.nodes:
            if node.op_type not in WRITERS:
                raise ValueError(
                    f"The form coreml writes {', '.join(sorted(WRITERS))}; this graph has {node.op_type} "
                    f"({node.name!r}). Export the form fast, or add it to WRITERS in export/coreml/operators.py."
                )
            made = WRITERS[node.op_type](program, node)
            program.values.update(zip(node.output, made if len(node.output) > 1 else [made], strict=True))
        function.set_outputs([program.values[name] for name in reading.outputs])
    whole = MilProgram()
    whole.add_function("main", function)
    return coremltools.convert(
        whole,
        source="milinternal",
        convert_to="mlprogram",
        minimum_deployment_target=target,
        compute_precision=coremltools.precision.FLOAT32,
        skip_model_load=True,
    )


def _check(found: Mapping[str, int], reading: GraphReading) -> None:
    wanted = {
        "conv": sum(node.op_type == "Conv" for node in reading.nodes),
        "quantize": len(reading.grids),
        "dequantize": len(reading.grids),
        "constexpr_blockwise_shift_scale": len(
            {node.input[1] for node in reading.nodes if node.op_type == "Conv" and reading.is_whole(node.input[1])}
        ),
    }
    missing = {kind: (count, found.get(kind, 0)) for kind, count in wanted.items() if found.get(kind, 0) != count}
    if missing:
        raise ValueError(
            f"A Core ML program has the student's codes and roundings; this one differs (wanted, found): {missing}. "
            "Report this with the student's file."
        )
