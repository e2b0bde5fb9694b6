"""Weights of any family's own files, told apart by asking each family."""

from __future__ import annotations

from pathlib import Path

from crqat_pipeline.detectors.family import ForeignWeights
from crqat_pipeline.detectors.table import detector_families
from crqat_pipeline.detectors.weights import WeightsRefused


def read_foreign_weights(source: str | Path) -> ForeignWeights:
    """What the first family that knows the file makes of it.

    Raises FileNotFoundError where there is none, else WeightsRefused with the words of each family that reads files:
    a folder or a repository is a file to some of them only.
    """
    refusals: dict[str, str] = {}
    missing: FileNotFoundError | None = None
    for family in detector_families().values():
        if family.read_weights is None:
            continue
        try:
            return family.read_weights(source)
        except (ValueError, FileNotFoundError) as error:
            refusals[family.name] = str(error)
            missing = error if isinstance(error, FileNotFoundError) else missing
    if missing is not None and not Path(source).exists():
        raise missing
    if len(refusals) == 1:
        raise WeightsRefused(next(iter(refusals.values())))
    raise WeightsRefused(
        f"No family of detectors reads {source}: " + " ".join(f"{name}: {words}" for name, words in refusals.items())
    )
