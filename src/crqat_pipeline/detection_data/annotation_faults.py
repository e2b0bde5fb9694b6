"""Faults of annotation files, collected over all files and reported together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

FAULTS_SHOWN = 20
LEAST_SHOWN_PER_FILE = 4


@dataclass(frozen=True)
class Fault:
    """kind groups faults in the count; text names the record and the value; file: where it is, "" for the only one."""

    kind: str
    text: str
    file: str = ""

    def of(self, file: str) -> Fault:
        """The same fault, of a named file."""
        return replace(self, file=file)


class AnnotationError(ValueError):
    """Annotations that cannot be used; `faults` holds every one, the message the first of each file and the counts."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        counts = Counter(fault.kind for fault in faults)
        summary = ", ".join(f"{count} × {kind}" for kind, count in counts.most_common())
        files = list(dict.fromkeys(fault.file for fault in self.faults))
        shown = max(FAULTS_SHOWN // max(len(files), 1), LEAST_SHOWN_PER_FILE)
        lines = [f"The annotations have {len(self.faults)} fault(s): {summary}."]
        for file in files:
            texts = [fault.text for fault in self.faults if fault.file == file]
            lines += [f"{file}:"] * bool(file)
            lines += [f"  - {text}" for text in texts[:shown]]
            lines += [f"  … and {len(texts) - shown} more"] * (len(texts) > shown)
        super().__init__("\n".join([*lines, "Correct these records, or remove them."]))

    def __reduce__(self) -> tuple[type[AnnotationError], tuple[tuple[Fault, ...]]]:
        return AnnotationError, (self.faults,)
