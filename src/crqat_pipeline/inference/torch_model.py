"""A detector that runs in PyTorch: full precision, fake-quantized, or read from a packed file.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from crqat_pipeline.detectors import OpenVocabularyDetector, build_detector
from crqat_pipeline.export.packed import PackedModel
from crqat_pipeline.inference.runnable import ModelFacts
from crqat_pipeline.quantization import QuantSpec, prepare, set_quantized
from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.structures.output import Detections
from crqat_pipeline.structures.vocabulary import TextBank

HEADER_KEY = "crqat"


class TorchModel:
    """A detector with what is known of it."""

    def __init__(
        self,
        detector: OpenVocabularyDetector,
        form: str,
        *,
        text_bank: TextBank | None = None,
        extra: Mapping[str, Any] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """extra: recorded facts; text_encoder and image_size_px are understood."""
        extra = extra or {}
        self.detector = detector.to(device).eval()
        self._device = torch.device(device)
        self.facts = ModelFacts(
            form=form,
            embedding_dim=detector.embedding_dim,
            size_divisor_px=detector.size_divisor,
            text_bank=text_bank,
            text_encoder=extra.get("text_encoder"),
            image_size_px=extra.get("image_size_px"),
        )

    @torch.inference_mode()
    def detect(
        self, images_B3HW: Tensor, text_KD: Tensor, *, score_threshold: float, max_detections: int
    ) -> list[Detections]:
        output = self.detector(images_B3HW.to(self._device), text_KD.to(self._device))
        found = self.detector.detect(output, score_threshold=score_threshold, max_detections=max_detections)
        return [Detections(item.boxes_M4.cpu(), item.scores_M.cpu(), item.labels_M.cpu()) for item in found]


def read_checkpoint(path: Path) -> Checkpoint:
    """Tensors and metadata of a checkpoint file. Raises ValueError for a file that is not a whole one."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            metadata = json.loads((file.metadata() or {}).get(HEADER_KEY, "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(
            f"{path} ({path.stat().st_size} bytes) is not a whole safetensors file: {error}. Copy it again."
        ) from error
    return Checkpoint(tensors, metadata)


def detector_of(checkpoint: Checkpoint) -> OpenVocabularyDetector:
    """The detector of a checkpoint in eval mode, its quantizers switched as they were.

    Raises ValueError for a checkpoint that does not name its detector or does not fit it.
    """
    if "detector" not in checkpoint.metadata:
        raise ValueError(
            f"A checkpoint names its detector; this one records only {sorted(checkpoint.metadata)}. Convert foreign "
            "weights with `crqat weights FILE --out X.safetensors`."
        )
    row = checkpoint.metadata["detector"]
    detector = build_detector(row["name"], **row["options"])
    if checkpoint.metadata.get("quantization"):
        prepare(detector, QuantSpec.model_validate(checkpoint.metadata["quantization"]))
    try:
        detector.load_state_dict(dict(checkpoint.tensors))
    except RuntimeError as error:
        raise ValueError(f"The checkpoint does not fit {row['name']!r} with {row['options']}: {error}") from error
    if checkpoint.metadata.get("quantization"):
        set_quantized(detector, checkpoint.metadata["quantized_parts"])
    return detector.eval()


def checkpoint_model(checkpoint: Checkpoint, device: torch.device | str = "cpu") -> TorchModel:
    """The model of a checkpoint: full precision, or fake-quantized where quantized parts are recorded."""
    is_quantized = bool(checkpoint.metadata.get("quantized_parts"))
    form = "fake-quantized checkpoint" if is_quantized else "full-precision checkpoint"
    return TorchModel(detector_of(checkpoint), form, extra=checkpoint.metadata, device=device)


def packed_model(packed: PackedModel, device: torch.device | str = "cpu") -> TorchModel:
    """The model of a packed file that was read."""
    return TorchModel(packed.build(), "packed int4", text_bank=packed.text_bank, extra=packed.extra, device=device)
