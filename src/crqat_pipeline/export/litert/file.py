"""A LiteRT file, written once the student was got back from it.

Shape letters: B images, 3 RGB, H W pixels.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.export.bias_alignment import align_biases
from crqat_pipeline.export.litert.flatbuffer import BYTE_OFFSET
from crqat_pipeline.export.litert.graph import LitertGraph, build_litert
from crqat_pipeline.export.litert.runtime import open_litert, require_litert
from crqat_pipeline.export.onnx.graph import IMAGES
from crqat_pipeline.export.onnx.requirements import require_onnx
from crqat_pipeline.export.onnx.runtime import Execution, Feeds
from crqat_pipeline.export.onnx.stored_facts import facts_in
from crqat_pipeline.export.parity import TAP_SUFFIX, compared_batches
from crqat_pipeline.export.parity_report import ParityReport
from crqat_pipeline.export.vendor import VendorSpec
from crqat_pipeline.export.vendor.folder import without_heads
from crqat_pipeline.export.vendor.graph import build_vendor_graph
from crqat_pipeline.export.vendor.reading import GraphReading
from crqat_pipeline.export.verified_onnx import check_parity
from crqat_pipeline.model_files.onnx_facts import METADATA_KEY, signed
from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.structures.vocabulary import TextBank

FORM = "litert"
NEWEST_OPSET = 18


@dataclass(frozen=True)
class LitertFile:
    """num_integer_convolutions, num_float_convolutions: by what they multiply. parity: the proof, and of 4-bit storage
    what LiteRT's own rounding changed besides (rounding)."""

    path: Path
    file_bytes: int
    num_integer_convolutions: int
    num_float_convolutions: int
    parity: ParityReport
    rounding: ParityReport | None


def write_litert(
    path: Path,
    detector: OpenVocabularyDetector,
    batches: Iterable[Tensor],
    image_size_px: tuple[int, int],
    text_bank: TextBank,
    *,
    batch_size: int = 1,
    has_int4_weights: bool = False,
    extra_metadata: Mapping[str, Any] | None = None,
) -> LitertFile:
    """Write a file of fixed shapes with its prompts inside: images (B, H, W, 3), float32 RGB in [0, 1].

    batches: images (B, 3, H, W) of that size. The interpreter runs the same graph with the codes of every quantizer as
    outputs; they are compared with the student, layer by layer, and only then the file gets its name. The student is
    one with its biases moved to whole units of the integer sums (at most half a unit), and its attention operands,
    whose ranges are per head, in floating point.
    has_int4_weights: 4-bit codes two to a byte. XNNPACK knows no such convolution (2.3.0): LiteRT's own kernels run
    them, slower, and round sums in fixed point, so that about one code in a hundred differs by one. The proof is then
    that of the same graph with bytes. Raises ValueError for a missing extra, a detector without emitters, an operator
    that nobody writes, and a mismatch.
    """
    require_onnx()
    require_litert()
    student = copy.deepcopy(detector)
    align_biases(student, is_coarse=True)
    spec = VendorSpec(opset=NEWEST_OPSET, batch_size=batch_size, image_size_px=image_size_px)
    graph = build_vendor_graph(student, spec, text_bank, extra_metadata)
    facts = facts_in(graph.model, Path(FORM)).model_copy(update={"form": FORM})
    reading = GraphReading(graph)
    taps = {quantizer: (tensor, "codes") for quantizer, (tensor, _) in facts.taps.items()}
    places, texts_KD = sorted({tensor for tensor, _ in taps.values()}), text_bank.embeddings_KD.float()
    shown = list(batches)

    def compared(has_int4: bool) -> ParityReport:
        tapped = build_litert(reading, {}, places, has_int4_weights=has_int4)
        return compared_batches(_opened(tapped), taps, expected, shown, texts_KD, FORM)

    expected = without_heads(student)
    parity = compared(False)
    check_parity(parity, path.name, FORM)
    rounding = compared(True) if has_int4_weights else None
    stored = {METADATA_KEY: facts.model_copy(update={"taps": {}}).to_json().encode()}
    made = build_litert(reading, stored, has_int4_weights=has_int4_weights)
    with atomic_path(path) as temporary:
        temporary.write_bytes(signed(made.content))
    size = path.stat().st_size
    return LitertFile(path, size, made.num_integer_convolutions, made.num_float_convolutions, parity, rounding)


def _opened(graph: LitertGraph) -> Any:
    run_file = open_litert(graph.content)

    def run(feeds: Feeds) -> Execution:
        outputs = dict(run_file(feeds[IMAGES]))
        for name, is_last in graph.taps:
            codes = outputs.pop(name).astype(np.float32) + BYTE_OFFSET
            outputs[f"{name}{TAP_SUFFIX}"] = np.moveaxis(codes, -1, 1) if is_last else codes
        return Execution(outputs, graph.num_integer_convolutions, graph.num_float_convolutions)

    return run
