"""Weights of any family's own files, told apart by asking each family."""

from __future__ import annotations

from pathlib import Path

from crqat_pipeline.detectors.family import ForeignWeights
from crqat_pipeline.detectors.table import detector_families
from crqat_pipeline.detectors.weights import WeightsRefused


def read_foreign_weights(source: str | Path) -> ForeignWeights:
    """What the first family that knows the file makes of it.

    Raises WeightsRefused with the family's own words where one family reads files, with each one's where several do.
    """
    refusals: dict[str, str] = {}
    for family in detector_families().values():
        if family.read_weights is None:
            continue
        try:
            return family.read_weights(source)
        except WeightsRefused as error:
            refusals[family.name] = str(error)
    if len(refusals) == 1:
        raise WeightsRefused(next(iter(refusals.values())))
    raise WeightsRefused(
        f"No family of detectors reads {source}: " + " ".join(f"{name}: {words}" for name, words in refusals.items())
    )
