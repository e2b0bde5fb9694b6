"""One quantizer on at a time, or one group: how far do the answers move?

SQNR names the layer whose own tensor is noisiest; noise there need not reach the answers, and little noise early can.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer
from crqat_pipeline.quantization.parts import quantizers
from crqat_pipeline.runtime.progress import progress
from crqat_pipeline.sensitivity.answers import Batch, answers_of, movement


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


def movements(
    detector: OpenVocabularyDetector, subjects: Mapping[str, Collection[str]], batches: Sequence[Batch], label: str
) -> dict[str, float]:
    """Subject -> movement of the answers with its quantizers alone on, from the same detector with all of them off.

    subjects: name -> names of calibrated quantizers; two with the same quantizers are measured once.
    """
    with alone(detector, ()):
        answers = answers_of(detector, batches)
    found: dict[frozenset[str], float] = {frozenset(): 0.0}
    subsets = list(dict.fromkeys(subset for names in subjects.values() if (subset := frozenset(names))))
    for names in progress(subsets, label, unit="subset"):
        with alone(detector, names):
            found[names] = movement(detector, answers)
    return {subject: found[frozenset(names)] for subject, names in subjects.items()}
