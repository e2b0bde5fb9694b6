"""What a sum over single quantizers misses: errors of layers that feed one another add up or cancel.

To second order, with a set of layers on, movement is the sum over layers alone plus, for every pair, what the two
together move beyond that. Pairs that do not feed one another are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.quantization.feeding_layers import feeding_layers
from crqat_pipeline.quantization.parts import quantizers
from crqat_pipeline.runtime.progress import progress
from crqat_pipeline.sensitivity.answers import Answers, movement
from crqat_pipeline.sensitivity.leave_one_in import alone


@dataclass(frozen=True)
class SecondOrder:
    """layers: movement of each layer's quantizers together. pairs: (feeding, fed) -> movement beyond their sum."""

    layers: Mapping[str, float]
    pairs: Mapping[tuple[str, str], float]

    @property
    def predicted(self) -> float:
        return max(0.0, sum(self.layers.values()) + sum(self.pairs.values()))


def second_order(student: OpenVocabularyDetector, answers: Answers) -> SecondOrder:
    """Of a calibrated student, whose quantizers are as they were afterwards. answers: of the detector without them."""
    own: dict[str, list[str]] = {}
    for name, _ in quantizers(student):
        own.setdefault(name.rpartition(".")[0], []).append(name)

    def moved(*layers: str) -> float:
        with alone(student, [name for layer in layers for name in own[layer]]):
            return movement(student, answers)

    layers = {layer: moved(layer) for layer in progress(list(own), "layers alone", unit="layer")}
    feeding = feeding_layers(student)
    pairs = [(first, fed) for fed in own for first in sorted(feeding.get(fed, frozenset())) if first in own]
    return SecondOrder(
        layers,
        {
            (first, fed): moved(first, fed) - layers[first] - layers[fed]
            for first, fed in progress(pairs, "layers that feed one another", unit="pair")
        },
    )
