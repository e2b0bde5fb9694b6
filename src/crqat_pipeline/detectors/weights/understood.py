"""A weight file of another project that a family made sense of: what `crqat weights` prints and converts.

Shape letters: K prompts, D embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from crqat_pipeline.detectors.weights.outcome import LoadReport

SHOWN_PROMPTS = 5
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class UnderstoodFile:
    """A family's ForeignWeights (detectors/family.py says what the fields are). container: as WeightFile's."""

    report: LoadReport
    container: str
    detector_name: str
    detector_options: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    prompts: tuple[str, ...] = ()
    text_embeddings_KD: Tensor | None = None
    text_encoder: Mapping[str, Any] | None = None

    @property
    def source(self) -> str:
        return Path(self.report.source).name

    def __str__(self) -> str:
        number = sum(tensor.numel() for key, tensor in self.tensors.items() if not key.endswith(STATISTICS))
        lines = [
            str(self.report),
            f"  detector  {self.detector_name}",
            f"  container {self.container}",
            f"  weights   {number:,}",
        ]
        if self.prompts:
            more = ", …" if len(self.prompts) > SHOWN_PROMPTS else ""
            lines.append(f"  prompts   {len(self.prompts)}: {', '.join(self.prompts[:SHOWN_PROMPTS])}{more}")
        return "\n".join(lines)


def changed(found: Mapping[str, Any], defaults: object) -> dict[str, Any]:
    """The options of `found` that are not those of a detector's spec."""
    return {name: value for name, value in found.items() if value != getattr(defaults, name)}
