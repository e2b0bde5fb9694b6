"""What a model must offer to be predicted with, whatever file it came from.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from crqat_pipeline.detection_data.rectangle import InputSize
from crqat_pipeline.model_files.onnx_facts import OnnxFacts
from crqat_pipeline.structures.output import Detections
from crqat_pipeline.structures.vocabulary import TextBank


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model besides its weights.

    form: such as "packed int4". size_divisor_px: sides of the input are multiples of it. text_bank: prompts that came
    with the model. text_encoder: name and options of the encoder it was trained with (a row of TEXT_ENCODERS), if
    recorded. image_size_px: of the input it was trained or exported for. fixed_prompts: the only prompts of
    a model with a folded vocabulary.
    """

    form: str
    embedding_dim: int
    size_divisor_px: int
    text_bank: TextBank | None = None
    text_encoder: Mapping[str, Any] | None = None
    image_size_px: InputSize | None = None
    fixed_prompts: tuple[str, ...] | None = None


def facts_of_fixed(stored: OnnxFacts, form: str, height_px: int, width_px: int) -> ModelFacts:
    """Of a file with one size of input and its prompts inside."""
    bank = stored.bank
    return ModelFacts(
        form=form,
        embedding_dim=stored.embedding_dim,
        size_divisor_px=stored.size_divisor_px,
        text_bank=bank,
        text_encoder=stored.extra.encoder_row,
        image_size_px=height_px if height_px == width_px else (height_px, width_px),
        fixed_prompts=None if bank is None else bank.prompts,
    )


class Runnable(Protocol):
    """A model in memory."""

    @property
    def facts(self) -> ModelFacts: ...

    def detect(
        self, images_B3HW: Tensor, text_KD: Tensor, *, score_threshold: float, max_detections: int
    ) -> list[Detections]:
        """One Detections per image, best first, in pixels of the input. A fixed vocabulary ignores text_KD."""
        ...


def check_answer(scores_BNK: Tensor, boxes_BN4: Tensor) -> None:
    """Raises ValueError for scores (or logits) and boxes that are no numbers: they would look like nothing found."""
    for what, tensor in (("scores", scores_BNK), ("boxes", boxes_BN4)):
        count = int(tensor.isnan().sum())
        if count:
            raise ValueError(
                f"The model gave NaN in place of {count} of {tensor.numel()} {what} of this image. Its numbers are out "
                "of bounds: take an earlier checkpoint, or export it again."
            )
