"""The folder of an ncnn network, written once the student was got back from it.

Shape letters: B images, 3 RGB, H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.export.ncnn.graph import NcnnGraph, build_ncnn
from crqat_pipeline.export.ncnn.narrowing import narrowed
from crqat_pipeline.export.ncnn.runtime import FILES, open_ncnn, require_ncnn
from crqat_pipeline.export.ncnn.translation import INT8_REACH
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
from crqat_pipeline.model_files.onnx_facts import signed
from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.structures.vocabulary import TextBank

FORM = "ncnn"
NEWEST_OPSET = 18


@dataclass(frozen=True)
class NcnnFolder:
    """file_bytes: of network and numbers. Convolutions by what they multiply. num_narrowed: grids of 8 bits, which int8
    of ncnn holds but for their lowest code. num_left_out: pre-activation quantizers, which ncnn has no place for."""

    path: Path
    file_bytes: int
    num_integer_convolutions: int
    num_float_convolutions: int
    num_narrowed: int
    num_left_out: int
    parity: ParityReport


def write_ncnn(
    folder: Path,
    detector: OpenVocabularyDetector,
    batches: Iterable[Tensor],
    image_size_px: tuple[int, int],
    text_bank: TextBank,
    extra_metadata: Mapping[str, Any] | None = None,
) -> NcnnFolder:
    """Write model.param, model.bin and model.json: one image (3, H, W), its prompts inside.

    batches: images (1, 3, H, W) of that size. The network is run here; what its convolutions round is compared with the
    student, layer by layer, and only then the files get their names. The student is one as ncnn has it: without
    pre-activation quantizers, grids of 8 bits without their lowest code, attention operands in floating point. Raises
    ValueError for a missing extra, a detector without emitters, an operator that nobody writes, and a mismatch.
    """
    require_onnx()
    require_ncnn()
    student, num_narrowed, num_left_out = narrowed(detector)
    spec = VendorSpec(opset=NEWEST_OPSET, batch_size=1, image_size_px=image_size_px)
    graph = build_vendor_graph(student, spec, text_bank, extra_metadata)
    facts = facts_in(graph.model, Path(FORM)).model_copy(update={"form": FORM})
    reading = GraphReading(graph)
    taps = {quantizer: (tensor, "codes") for quantizer, (tensor, _) in facts.taps.items()}
    tapped = build_ncnn(reading, sorted({tensor for tensor, _ in taps.values()}))
    texts_KD = text_bank.embeddings_KD.float()
    parity = compared_batches(_opened(tapped, reading), taps, without_heads(student), batches, texts_KD, FORM)
    check_parity(parity, folder.name, FORM)
    made = build_ncnn(reading)
    header = facts.model_copy(update={"taps": {}}).to_json().encode()
    text, stored = made.files.text.encode(), made.files.stored
    header = signed(header + text + stored)[: len(header)]
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in zip(FILES, (text, stored, header), strict=True):
        with atomic_path(folder / name) as temporary:
            temporary.write_bytes(content)
    return NcnnFolder(
        folder,
        len(text) + len(stored),
        made.num_integer_convolutions,
        made.num_float_convolutions,
        num_narrowed,
        num_left_out,
        parity,
    )


def _opened(graph: NcnnGraph, reading: GraphReading) -> Any:
    run_files = open_ncnn(*graph.files)

    def run(feeds: Feeds) -> Execution:
        found = run_files(feeds[IMAGES])
        outputs = {name: found[name] for name in reading.outputs}
        for name, codes in graph.taps.items():
            grid = reading.grids[name]
            steps = found[codes.blob] * (np.float32(1) / np.float32(grid.scale))
            whole = np.clip(np.trunc(steps + np.copysign(np.float32(0.5), steps)), -INT8_REACH, INT8_REACH)
            outputs[f"{name}{TAP_SUFFIX}"] = (whole + codes.offset + grid.zero_point).astype(np.float32)
        return Execution(outputs, graph.num_integer_convolutions, graph.num_float_convolutions)

    return run
