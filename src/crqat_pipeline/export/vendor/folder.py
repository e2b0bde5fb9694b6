"""The folder that a vendor's toolchain is given, written once the student was got back from it.

Shape letters: B images, 3 RGB, H W pixels.
"""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.export.onnx.requirements import require_onnx
from crqat_pipeline.export.parity import check_batches
from crqat_pipeline.export.parity_report import ParityReport
from crqat_pipeline.export.vendor.graph import FORM, build_vendor_graph, float_tensors
from crqat_pipeline.export.vendor.ranges import to_aimet
from crqat_pipeline.export.vendor.requantize import requantized
from crqat_pipeline.export.vendor.spec import VendorSpec
from crqat_pipeline.export.vendor.tool_notes import rknn_table, tensorrt_cache
from crqat_pipeline.export.verified_onnx import check_parity
from crqat_pipeline.model_files.onnx_facts import signed
from crqat_pipeline.quantization.parts import quantizers
from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.structures.vocabulary import TextBank

MODEL, ENCODINGS, CACHE, RKNN = "model.onnx", "model.encodings", "tensorrt.cache", "rknn_quantization.cfg"


@dataclass(frozen=True)
class VendorFolder:
    """num_ranges, num_weights: entries of the encodings. num_float_layers: convolutions and products without."""

    path: Path
    file_bytes: int
    num_ranges: int
    num_weights: int
    num_float_layers: int
    parity: ParityReport


def write_vendor(
    folder: Path,
    detector: OpenVocabularyDetector,
    batches: Iterable[Tensor],
    spec: VendorSpec,
    text_bank: TextBank,
    extra_metadata: Mapping[str, Any] | None = None,
) -> VendorFolder:
    """Write model.onnx, model.encodings, tensorrt.cache and rknn_quantization.cfg into the folder.

    batches: images (B, 3, H, W) of the graph's size. The graph is quantized again by the encodings as they were written
    and compared with the student, code by code; only then the files get their names. Attention operands, whose ranges
    are per head, which no toolchain takes, count as floating point on both sides. Raises ValueError for a mismatch.
    """
    require_onnx()
    model, ranges = build_vendor_graph(detector, spec, text_bank, extra_metadata)
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        (made / MODEL).write_bytes(signed(model.SerializeToString(deterministic=True)))
        (made / ENCODINGS).write_text(json.dumps(to_aimet(ranges), indent=1), encoding="utf-8")
        (made / CACHE).write_text(tensorrt_cache(ranges.activations), encoding="utf-8")
        floats = float_tensors(model, ranges)
        (made / RKNN).write_text(rknn_table(ranges.activations, floats), encoding="utf-8")
        parity = _proof(made, detector, batches, text_bank, folder.name)
        folder.mkdir(parents=True, exist_ok=True)
        for source in sorted(made.iterdir()):
            with atomic_path(folder / source.name) as temporary:
                temporary.write_bytes(source.read_bytes())
    size = (folder / MODEL).stat().st_size
    return VendorFolder(folder, size, len(ranges.activations), len(ranges.weights), len(floats), parity)


def _proof(
    made: Path, detector: OpenVocabularyDetector, batches: Iterable[Tensor], text_bank: TextBank, name: str
) -> ParityReport:
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder) / MODEL
        again.write_bytes(requantized(made / MODEL, made / ENCODINGS).SerializeToString())
        parity = check_batches(again, without_heads(detector), batches, text_bank.embeddings_KD.float())
    check_parity(parity, name, FORM)
    return parity


def without_heads(detector: OpenVocabularyDetector) -> OpenVocabularyDetector:
    """A copy whose attention operands, quantized per head, are in floating point."""
    plain = copy.deepcopy(detector)
    for name, quantizer in quantizers(plain):
        if name.rpartition(".")[2].endswith("_operand") and quantizer.settings.axis is not None:
            quantizer.is_on = False
    return plain
