"""Detectors to checkpoints and back: the metadata says everything that is needed to rebuild one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.quantization import QuantSpec, prepare, set_quantized
from crqat_pipeline.recipes.specs import NamedBuilderSpec
from crqat_pipeline.structures.checkpoint import Checkpoint


@dataclass(frozen=True)
class RebuiltDetector:
    """A detector in eval mode, and what its checkpoint says of it."""

    detector: OpenVocabularyDetector
    row: NamedBuilderSpec
    quantization: QuantSpec | None
    quantized_parts: tuple[str, ...]


def to_checkpoint(
    tensors: Mapping[str, Tensor],
    row: NamedBuilderSpec,
    quantization: QuantSpec | None,
    quantized_parts: Collection[str],
    **facts: Any,
) -> Checkpoint:
    """Tensors of a state dict with the row of DETECTORS, the quantization and the parts that are quantized."""
    metadata = {
        "detector": row.model_dump(mode="json"),
        "quantization": quantization.model_dump(mode="json") if quantization else None,
        "quantized_parts": list(quantized_parts),
        **facts,
    }
    return Checkpoint({name: value.detach().cpu() for name, value in tensors.items()}, metadata)


def rebuild(checkpoint: Checkpoint) -> RebuiltDetector:
    """The detector of a checkpoint, its quantizers switched as they were. Raises ValueError if it is none of ours."""
    if "detector" not in checkpoint.metadata:
        raise ValueError(
            f"A checkpoint names its detector; this one has only {sorted(checkpoint.metadata)}. "
            "Convert foreign weights with `crqat weights FILE --out X.safetensors`."
        )
    row = NamedBuilderSpec.model_validate(checkpoint.metadata["detector"])
    detector = build_detector(row.name, **row.options)
    quantization, parts = checkpoint.metadata.get("quantization"), tuple(checkpoint.metadata["quantized_parts"])
    spec = QuantSpec.model_validate(quantization) if quantization else None
    if spec is not None:
        prepare(detector, spec)
    detector.load_state_dict(dict(checkpoint.tensors))
    if spec is not None:
        set_quantized(detector, parts)
    return RebuiltDetector(detector.eval(), row, spec, parts)
