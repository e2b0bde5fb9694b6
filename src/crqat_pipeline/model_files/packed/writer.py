"""Write a quantized detector as a packed file.

Shape letters: K prompts, D embedding.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.model_files.checkpoint_file import TEXT_BANK_TENSOR
from crqat_pipeline.model_files.detector_row import DetectorRow
from crqat_pipeline.model_files.packed.header import CLIP_CONVENTION, FORMAT_NAME
from crqat_pipeline.model_files.packed.manifest import PackedEntry, layer_facts, manifest, version_of
from crqat_pipeline.model_files.packed.size import PackedReport
from crqat_pipeline.model_files.packed.stored_numbers import check_numbers
from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.quantization.parts import check_ready, part_of, quantizers
from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.runtime.tensor_file import write_tensors
from crqat_pipeline.structures.vocabulary import TextBank


def write_packed(
    path: str | Path,
    prepared_detector: OpenVocabularyDetector,
    *,
    detector_name: str,
    detector_options: Mapping[str, Any],
    quantization: QuantSpec,
    text_bank: TextBank | None = None,
    extra_metadata: Mapping[str, Any] | None = None,
) -> PackedReport:
    """Write the quantized parts of the detector as codes, the rest as floats, atomically and without pickle.

    prepared_detector: prepared with `quantization`, calibrated, its quantized parts switched on. detector_name and
    detector_options: its detector row. text_bank: embeddings and prompts to ship, (K, D). extra_metadata: JSON-able
    facts to keep. The same content gives the same bytes. Raises ValueError for a detector without quantized parts.
    """
    path = Path(path)
    check_ready(prepared_detector)
    version = version_of(prepared_detector)
    entries = manifest(prepared_detector, version)
    tensors = {name: _checked(entry) for name, entry in entries.items()}
    sizes = Counter[str]()
    for name, tensor in tensors.items():
        sizes[entries[name].role] += tensor.nbytes
    if text_bank is not None:
        tensors[TEXT_BANK_TENSOR] = text_bank.embeddings_KD.detach().cpu().float().contiguous()
        sizes["text_bank"] = tensors[TEXT_BANK_TENSOR].nbytes
    facts: dict[str, Any] = {
        "format": FORMAT_NAME,
        "format_version": version,
        "detector": DetectorRow.of(detector_name, detector_options).as_json(),
        "quantization": quantization.model_dump(mode="json"),
        "quantized_parts": _quantized_parts(prepared_detector),
        "clip_convention": CLIP_CONVENTION,
        "layers": layer_facts(prepared_detector),
        "text_bank": None if text_bank is None else _bank_facts(text_bank),
        "extra": dict(extra_metadata or {}),
    }
    with atomic_path(path) as temporary:
        write_tensors(temporary, tensors, facts)
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    num_packed = sum(entry.num_weights for entry in entries.values() if entry.packed_bits)
    return PackedReport(path, path.stat().st_size, dict(sizes), num_packed, checksum)


def _checked(entry: PackedEntry) -> Tensor:
    tensor = entry.get().detach().cpu().contiguous().clone()
    assert tensor.dtype == entry.dtype, entry.name
    assert all(want in (None, got) for want, got in zip(entry.shape, tensor.shape, strict=True)), entry.name
    check_numbers(entry, tensor)
    return tensor


def _quantized_parts(detector: OpenVocabularyDetector) -> list[str]:
    active = {part_of(detector, name) for name, quantizer in quantizers(detector) if quantizer.is_on}
    return [part for part in detector.parts if part in active]


def _bank_facts(bank: TextBank) -> dict[str, Any]:
    return {"prompts": list(bank.prompts), "encoder": bank.encoder, "is_normalized": bank.is_normalized}
