"""The float graph of a student for vendors, with the ranges that belong to its tensors.

Shape letters: K prompts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.export.onnx.form_table import VENDOR
from crqat_pipeline.export.onnx.model import build_graph
from crqat_pipeline.export.onnx.spec import OnnxSpec
from crqat_pipeline.export.onnx.supported import has_emitters
from crqat_pipeline.export.vendor.fixed_shapes import fix_shapes
from crqat_pipeline.export.vendor.older_opset import lower
from crqat_pipeline.export.vendor.ranges import Ranges
from crqat_pipeline.export.vendor.spec import VendorSpec
from crqat_pipeline.model_files.onnx_facts import METADATA_KEY, parse_onnx_facts
from crqat_pipeline.structures.vocabulary import TextBank

if TYPE_CHECKING:
    from onnx import ModelProto

FORM = "vendor"
TEXT = "text_embeddings"


class VendorGraph(NamedTuple):
    """model: its metadata still without a digest. ranges: of tensors of this model, none of others."""

    model: ModelProto
    ranges: Ranges


def build_vendor_graph(
    detector: OpenVocabularyDetector,
    spec: VendorSpec,
    text_bank: TextBank,
    metadata: Mapping[str, Any] | None = None,
) -> VendorGraph:
    """Inputs images (B, 3, H, W) and, if wished, text_embeddings (K, D); outputs boxes (B, N, 4) and scores (B, N, K).

    Only operators of the ONNX standard, every size a number. Raises ValueError for a detector without emitters and
    whatever `build_onnx` refuses.
    """
    if not has_emitters(detector):
        raise ValueError(
            f"The form vendor is written of detectors with emitters; {type(detector).__name__} is traced. Export the "
            "form spec and quantize by its Q/DQ nodes, or add emitters (docs/formats/onnx.md)."
        )
    wish = OnnxSpec(
        batch_size=spec.batch_size,
        image_size_px=spec.image_size_px,
        has_fixed_vocabulary=not spec.has_text_input,
        has_embeddings=False,
    )
    model, emission = build_graph(detector, wish, FORM, VENDOR, text_bank, metadata)
    for value in model.graph.input:
        if value.name == TEXT:
            value.type.tensor_type.shape.dim[0].dim_value = len(text_bank.prompts)
    lower(fix_shapes(model, emission.ranges), spec.opset)
    made = {name for node in model.graph.node for name in node.output}
    stored = {tensor.name for tensor in model.graph.initializer}
    ranges = Ranges(
        {name: grid for name, grid in emission.ranges.items() if name in made},
        {name: grid for name, grid in emission.weight_grids.items() if name in stored},
    )
    _keep_taps_of(model, made)
    return VendorGraph(model, ranges)


def float_tensors(model: ModelProto, ranges: Ranges) -> list[str]:
    """Outputs of convolutions and products that the student computes in floating point."""
    heavy = [node for node in model.graph.node if node.op_type in ("Conv", "MatMul")]
    return [node.output[0] for node in heavy if node.input[1] not in ranges.weights]


def _keep_taps_of(model: ModelProto, made: set[str]) -> None:
    """Forget places of codes that are constants now."""
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            facts = parse_onnx_facts(entry.value, Path(FORM))
            taps = {name: tap for name, tap in facts.taps.items() if tap[0] in made}
            entry.value = facts.model_copy(update={"taps": taps, "sha256": None}).to_json()
