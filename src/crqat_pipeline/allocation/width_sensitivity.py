"""How far a detector's answers move when one of its quantizers alone is on, at each of several widths: label-free."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.quantization import QuantSpec, calibrate, prepare
from crqat_pipeline.quantization.parts import quantizers
from crqat_pipeline.runtime.progress import progress
from crqat_pipeline.sensitivity.answers import Answers, Batch, movement
from crqat_pipeline.sensitivity.leave_one_in import alone

Sensitivities = Mapping[tuple[str, int], float]
"""(name of a quantizer, bits) -> movement with it alone on."""


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
    """The spec with this width everywhere: edges, attention and similarity among it, no pre-activation.

    Gates are not exchanged: a layer is weighed with one range for its whole input.
    """
    widths = {f"{name}_bits": width for name in ("weight", "activation", "attention", "similarity")}
    changed = {**widths, "keep_edge_layers": False, "pre_activation_bits": None, "widths": (), "gate_exchange": False}
    return QuantSpec.model_validate(spec.model_dump() | changed)
