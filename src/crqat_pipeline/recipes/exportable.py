"""A model as exports want it: a detector with all that is known of it.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.export.pre_activation import with_pre_activation
from crqat_pipeline.model_files.detector_row import DetectorRow
from crqat_pipeline.model_files.packed import PackedModel
from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.structures.vocabulary import TextBank

DEFAULT_IMAGE_SIZE_PX = 640


@dataclass(frozen=True)
class ExportableModel:
    """A detector in eval mode, its quantizers as they were. row and quantization: what it is built from (None: full
    precision). extra: facts that go into the file."""

    detector: OpenVocabularyDetector
    row: DetectorRow
    quantization: QuantSpec | None
    text_bank: TextBank | None
    extra: Mapping[str, Any]

    @property
    def image_size_px(self) -> int:
        """Side of the square input it was made for, else 640."""
        return int(self.extra.get("image_size_px") or DEFAULT_IMAGE_SIZE_PX)


def of_packed(packed: PackedModel) -> ExportableModel:
    """The model of a packed file that was read."""
    return ExportableModel(packed.build(), packed.header.detector, packed.as_stored, packed.text_bank, packed.extra)


def calibrated_outputs(model: ExportableModel, batches: Iterable[Tensor]) -> ExportableModel:
    """`with_integer_outputs` on images (B, 3, H, W) in [0, 1], for a model that is known to fit."""
    assert model.text_bank is not None
    assert model.quantization is not None
    texts_KD = model.text_bank.embeddings_KD.float()
    student, quantization = with_pre_activation(
        model.detector,
        ((images_B3HW, texts_KD) for images_B3HW in batches),
        detector_name=model.row.name,
        detector_options=model.row.options,
        quantization=model.quantization,
    )
    extra = {**model.extra, "pre_activation": "calibrated after training"}
    return replace(model, detector=student, quantization=quantization, extra=extra)
