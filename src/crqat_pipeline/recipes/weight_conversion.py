"""Foreign weights as a checkpoint of ours: a model that detect, export, demo and a teacher start from.

Shape letters: K prompts, D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from crqat_pipeline.detectors.family import ForeignWeights
from crqat_pipeline.model_files import DetectorRow, to_checkpoint, write_checkpoint
from crqat_pipeline.model_files.checkpoint_file import TEXT_BANK_TENSOR, read_checkpoint, text_bank_of, weights_of
from crqat_pipeline.model_files.kind import CHECKPOINT, ONNX, kind_of
from crqat_pipeline.model_files.number_limits import UNIT_TOLERANCE
from crqat_pipeline.model_files.opening import naming
from crqat_pipeline.model_files.rebuilding import RebuiltDetector, rebuild
from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.runtime.tensor_file import read_tensors
from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.text_encoders.table import OpenClipSpec, TextEncoderSpec

IMAGE_SIZE_PX = 640
"""Side of the input that published weights were trained on."""


@dataclass(frozen=True)
class OwnCheckpoint:
    """A checkpoint of this project: its header says what it is, so that no family has to guess."""

    path: Path
    checkpoint: Checkpoint
    rebuilt: RebuiltDetector

    def __str__(self) -> str:
        row, spec, bank = self.rebuilt.row, self.rebuilt.quantization, text_bank_of(self.checkpoint)
        options = "".join(f", {key} {value}" for key, value in sorted(row.options.items()))
        parts = (
            f"{', '.join(self.rebuilt.quantized_parts)} at {spec.notation}" if spec is not None else "full precision"
        )
        lines = [
            f"{self.path.name}: a checkpoint of crqat, detector {row.name}{options}",
            f"  stage     {self.checkpoint.metadata.get('stage', 'not told')}",
            f"  precision {'full' if spec is None else f'{spec.notation} in {parts}'}",
            f"  tensors   {len(weights_of(self.checkpoint))}",
        ]
        if bank is not None:
            shown = ", ".join(bank.prompts[:5])
            lines.append(f"  prompts   {len(bank.prompts)}: {shown}{', …' if len(bank.prompts) > 5 else ''}")
        return "\n".join(lines)

    def write(self, target: Path) -> str:
        """The same checkpoint in today's format, with a digest; returns what was written, in one line."""
        with atomic_path(target) as temporary:
            write_checkpoint(temporary, self.checkpoint)
        return f"wrote {target}: the same checkpoint of {self.rebuilt.row.name}"


def own_checkpoint(source: str) -> OwnCheckpoint | None:
    """The checkpoint, if the file is one of ours; None for files of others, which their families read.

    Raises ValueError for a checkpoint of ours that does not fit its detector, and for our files that are none.
    """
    path = Path(source)
    if path.suffix not in (".safetensors", ".onnx") or not path.is_file():
        return None
    try:
        kind, (_, header) = kind_of(path), ({}, {}) if path.suffix == ".onnx" else read_tensors(path)
    except ValueError:
        return None
    if kind != CHECKPOINT:
        raise ValueError(
            f"{path} is exported already ({'an ONNX file' if kind == ONNX else 'a packed file'}); `crqat weights` is "
            "for checkpoints and weights of others. Use it as it is: crqat detect."
        )
    if "detector" not in header:
        return None
    with naming(path):
        checkpoint = read_checkpoint(path)
        return OwnCheckpoint(path, checkpoint, rebuild(checkpoint))


def write_converted(weights: ForeignWeights, target: Path) -> str:
    """Write the checkpoint, whole or not at all; returns what it holds, in one line.

    Prompts with embeddings that came with the file become its text bank.
    """
    row = DetectorRow.of(weights.detector_name, weights.detector_options)
    facts: dict[str, Any] = {"stage": "converted", "source": weights.source, "image_size_px": IMAGE_SIZE_PX}
    encoder = "foreign"
    if weights.text_encoder is not None:
        made_by = TypeAdapter(TextEncoderSpec).validate_python(dict(weights.text_encoder))
        facts["text_encoder"] = made_by.model_dump(mode="json", exclude_none=True)
        if isinstance(made_by, OpenClipSpec):
            encoder = f"{made_by.name}:{made_by.model_name}:{made_by.pretrained}"
    tensors, embeddings_KD = dict(weights.tensors), weights.text_embeddings_KD
    if embeddings_KD is not None:
        is_unit = bool(((embeddings_KD.norm(dim=1) - 1).abs() < UNIT_TOLERANCE).all())
        facts["text_bank"] = {"prompts": list(weights.prompts), "encoder": encoder, "is_normalized": is_unit}
    checkpoint = to_checkpoint(tensors, row, None, (), **facts)
    if embeddings_KD is not None:
        checkpoint = Checkpoint({**checkpoint.tensors, TEXT_BANK_TENSOR: embeddings_KD}, checkpoint.metadata)
    with atomic_path(target) as temporary:
        write_checkpoint(temporary, checkpoint)
    prompts = "no prompts of its own" if embeddings_KD is None else f"{len(weights.prompts)} prompts"
    return f"wrote {target}: a checkpoint of {row.name}, {prompts}"
