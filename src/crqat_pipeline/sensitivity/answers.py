"""How far a detector's answers move: label-free.

Scores of all regions and prompts are compared, and boxes where the reference is confident.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.distillation.vocabulary_kd import VocabularyKdSpec, vocabulary_kd_losses
from crqat_pipeline.quantization.modes import eval_mode
from crqat_pipeline.structures.output import DetectorOutput

Batch = tuple[Tensor, Tensor]
"""images_B3HW in [0, 1], texts_KD."""

_ANSWERS = VocabularyKdSpec(bins_weight=0.0)


@dataclass(frozen=True)
class Answers:
    """What a detector says of the batches."""

    batches: Sequence[Batch]
    outputs: Sequence[DetectorOutput]


@torch.no_grad()
def answers_of(detector: OpenVocabularyDetector, batches: Sequence[Batch]) -> Answers:
    """Answers of a detector, in eval mode."""
    with eval_mode(detector):
        return Answers(batches, [detector(images_B3HW, texts_KD) for images_B3HW, texts_KD in batches])


@torch.no_grad()
def movement(detector: OpenVocabularyDetector, answers: Answers) -> float:
    """Distance of the detector's answers, as it is now, from the given ones: the loss of vocabulary distillation.

    Cross-entropy of the scores above the reference's own entropy and 1 - CIoU of its confident boxes, per unit of
    score, mean over the batches; 0 for equal answers.
    """
    total = 0.0
    with eval_mode(detector):
        for (images_B3HW, texts_KD), wanted in zip(answers.batches, answers.outputs, strict=True):
            losses = vocabulary_kd_losses(detector(images_B3HW, texts_KD), wanted, _ANSWERS)
            total += float(sum(losses.values()))
    return max(0.0, total / len(answers.batches))
