"""How far a detector's answers move when one of its quantizers alone is on: label-free.

SQNR names the layer whose own tensor is noisiest; noise there need not reach the answers, and little noise early can.
Here the answers themselves are compared: scores of all regions and prompts, and boxes where the teacher is confident.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.distillation.vocabulary_kd import VocabularyKdSpec, vocabulary_kd_losses
from crqat_pipeline.quantization import QuantSpec, calibrate, prepare
from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer
from crqat_pipeline.quantization.modes import eval_mode
from crqat_pipeline.quantization.parts import quantizers
from crqat_pipeline.runtime.progress import progress
from crqat_pipeline.structures.output import DetectorOutput

Batch = tuple[Tensor, Tensor]
Sensitivities = Mapping[tuple[str, int], float]
"""(name of a quantizer, bits) -> movement with it alone on."""

_ANSWERS = VocabularyKdSpec(bins_weight=0.0)


@dataclass(frozen=True)
class Answers:
    """What the full-precision detector says of the batches."""

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


def sensitivities(
    detector: OpenVocabularyDetector, spec: QuantSpec, bits: Sequence[int], answers: Answers
) -> Sensitivities:
    """Movement of each quantizer alone, at each of these bits.

    detector: in full precision; it is not changed. spec: rules of calibration, granularity, and what stays in full
    precision by name; edge layers and the similarity product get quantizers too, so that they can be weighed.
    answers: its own; their batches calibrate as well.
    """
    found: dict[tuple[str, int], float] = {}
    for width in bits:
        student = calibrated(detector, uniform(spec, width), answers.batches)
        names = [name for name, _ in quantizers(student)]
        for name in progress(names, f"sensitivity at {width} bits", unit="quantizer"):
            with alone(student, [name]):
                found[name, width] = movement(student, answers)
    return found


def calibrated(detector: OpenVocabularyDetector, spec: QuantSpec, batches: Sequence[Batch]) -> OpenVocabularyDetector:
    """A copy with its quantizers, calibrated and off."""
    student = copy.deepcopy(detector)
    prepare(student, spec)
    calibrate(student, batches, list(student.parts))
    return student


def uniform(spec: QuantSpec, width: int) -> QuantSpec:
    """The spec with this width everywhere: edges, attention and similarity among it, no pre-activation."""
    widths = {f"{name}_bits": width for name in ("weight", "activation", "attention", "similarity")}
    changed = {**widths, "keep_edge_layers": False, "pre_activation_bits": None, "widths": ()}
    return QuantSpec.model_validate(spec.model_dump() | changed)


@contextmanager
def alone(detector: OpenVocabularyDetector, names: Collection[str]) -> Iterator[None]:
    """Exactly these quantizers are on; afterwards all are as they were."""
    before: list[tuple[FakeQuantizer, bool]] = []
    for name, quantizer in quantizers(detector):
        before.append((quantizer, quantizer.is_on))
        quantizer.is_on = name in names
    try:
        yield
    finally:
        for quantizer, was_on in before:
            quantizer.is_on = was_on
