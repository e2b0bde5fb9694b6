"""A detector that runs in PyTorch: full precision, fake-quantized, or read from a packed file.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor

from crqat_pipeline.detectors import OpenVocabularyDetector
from crqat_pipeline.inference.runnable import ModelFacts, check_answer
from crqat_pipeline.model_files.checkpoint_file import header_of, text_bank_of
from crqat_pipeline.model_files.headers import ExporterFacts
from crqat_pipeline.model_files.packed import PackedModel
from crqat_pipeline.model_files.rebuilding import rebuild
from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.structures.output import Detections
from crqat_pipeline.structures.vocabulary import TextBank


class TorchModel:
    """A detector with what is known of it."""

    def __init__(
        self,
        detector: OpenVocabularyDetector,
        form: str,
        *,
        text_bank: TextBank | None = None,
        extra: ExporterFacts | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """extra: recorded facts about encoder and input."""
        extra = extra or ExporterFacts()
        self.detector = detector.to(device).eval()
        self._device = torch.device(device)
        self.facts = ModelFacts(
            form=form,
            embedding_dim=detector.embedding_dim,
            size_divisor_px=detector.size_divisor,
            text_bank=text_bank,
            text_encoder=extra.encoder_row,
            image_size_px=extra.image_size_px,
        )

    @torch.inference_mode()
    def detect(
        self, images_B3HW: Tensor, text_KD: Tensor, *, score_threshold: float, max_detections: int
    ) -> list[Detections]:
        output = self.detector(images_B3HW.to(self._device), text_KD.to(self._device))
        check_answer(output.class_logits_BNK, output.boxes_BN4)
        found = self.detector.detect(output, score_threshold=score_threshold, max_detections=max_detections)
        return [Detections(item.boxes_M4.cpu(), item.scores_M.cpu(), item.labels_M.cpu()) for item in found]


def checkpoint_model(checkpoint: Checkpoint, device: torch.device | str = "cpu") -> TorchModel:
    """The model of a checkpoint: full precision, or fake-quantized where quantized parts are recorded."""
    header, text_bank = header_of(checkpoint), text_bank_of(checkpoint)
    form = "fake-quantized checkpoint" if header.quantized_parts else "full-precision checkpoint"
    return TorchModel(rebuild(checkpoint).detector, form, text_bank=text_bank, extra=header, device=device)


def packed_model(packed: PackedModel, device: torch.device | str = "cpu") -> TorchModel:
    """The model of a packed file that was read."""
    detector, extra = packed.build(), packed.header.extra
    return TorchModel(detector, "packed int4", text_bank=packed.text_bank, extra=extra, device=device)
