"""Faults of an annotation file, collected and reported together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

FAULTS_SHOWN = 20


@dataclass(frozen=True)
class Fault:
    """kind groups faults in the count; text names the record and the value."""

    kind: str
    text: str


class AnnotationError(ValueError):
    """Annotations that cannot be used; `faults` holds every one, the message the first 20 and the counts."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        counts = Counter(fault.kind for fault in faults)
        shown = [f"  - {fault.text}" for fault in self.faults[:FAULTS_SHOWN]]
        if len(self.faults) > FAULTS_SHOWN:
            shown.append(f"  … and {len(self.faults) - FAULTS_SHOWN} more")
        summary = ", ".join(f"{count} × {kind}" for kind, count in counts.most_common())
        super().__init__(
            "\n".join(
                [
                    f"The annotations have {len(self.faults)} fault(s): {summary}.",
                    *shown,
                    "Correct these records, or remove them.",
                ]
            )
        )

    def __reduce__(self) -> tuple[type[AnnotationError], tuple[tuple[Fault, ...]]]:
        return AnnotationError, (self.faults,)
