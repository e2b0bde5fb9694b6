"""Detectors to checkpoints and back: what is stored says everything that is needed to rebuild one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.model_files.detector_row import DetectorRow, NamesDetector
from crqat_pipeline.quantization import QuantSpec, prepare, set_quantized
from crqat_pipeline.structures.checkpoint import Checkpoint


@dataclass(frozen=True)
class RebuiltDetector:
    """A detector in eval mode, and what its checkpoint says of it."""

    detector: OpenVocabularyDetector
    row: DetectorRow
    quantization: QuantSpec | None
    quantized_parts: tuple[str, ...]


def to_checkpoint(
    tensors: Mapping[str, Tensor],
    row: NamesDetector,
    quantization: QuantSpec | None,
    quantized_parts: Collection[str],
    **facts: Any,
) -> Checkpoint:
    """Tensors of a state dict with the row of the detector, the quantization and the parts that are quantized."""
    detector = DetectorRow(name=row.name, options=dict(row.options))
    metadata = {
        "detector": detector.model_dump(mode="json"),
        "quantization": quantization.model_dump(mode="json") if quantization else None,
        "quantized_parts": list(quantized_parts),
        **facts,
    }
    return Checkpoint({name: value.detach().cpu() for name, value in tensors.items()}, metadata)


def rebuild(checkpoint: Checkpoint) -> RebuiltDetector:
    """The detector of a checkpoint, its quantizers switched as they were.

    Raises ValueError for a checkpoint that does not name its detector or does not fit it.
    """
    facts = checkpoint.metadata
    if "detector" not in facts:
        raise ValueError(
            f"A checkpoint names its detector; this one records only {sorted(facts)}. Convert foreign weights with "
            "`crqat weights FILE --out X.safetensors`."
        )
    row = DetectorRow.model_validate(facts["detector"])
    spec = QuantSpec.model_validate(facts["quantization"]) if facts.get("quantization") else None
    parts = tuple(facts["quantized_parts"]) if spec is not None else ()
    detector = unfilled(row, spec)
    try:
        detector.load_state_dict(dict(checkpoint.tensors))
    except RuntimeError as error:
        raise ValueError(f"The checkpoint does not fit {row.name!r} with {row.options}: {error}") from error
    if spec is not None:
        set_quantized(detector, parts)
    return RebuiltDetector(detector.eval(), row, spec, parts)


def unfilled(row: DetectorRow, quantization: QuantSpec | None) -> OpenVocabularyDetector:
    """The detector of a row with its quantizers in place, before stored numbers are put in."""
    detector = build_detector(row.name, **row.options)
    if quantization is not None:
        prepare(detector, quantization)
    return detector
