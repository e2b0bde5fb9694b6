"""Foreign weights as a checkpoint of ours: a model that detect, export, demo and a teacher start from.

Shape letters: K prompts, D embedding.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from crqat_pipeline.detectors.family import ForeignWeights
from crqat_pipeline.model_files import DetectorRow, to_checkpoint, write_checkpoint
from crqat_pipeline.model_files.checkpoint_file import TEXT_BANK_TENSOR
from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.text_encoders.table import OpenClipSpec, TextEncoderSpec

IMAGE_SIZE_PX = 640
"""Side of the input that published weights were trained on."""
UNIT_TOLERANCE = 0.01
"""Published files are half precision."""


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
