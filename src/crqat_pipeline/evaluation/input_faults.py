"""One error for everything that is wrong with the files given to an evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NUM_SHOWN = 5


@dataclass(frozen=True)
class Fault:
    """rule: what is broken and the way out. count: how often. offenders: the first few, as text."""

    rule: str
    count: int
    offenders: tuple[str, ...] = ()

    def __str__(self) -> str:
        shown = "; ".join(self.offenders)
        more = f"; and {self.count - len(self.offenders)} more" if self.count > len(self.offenders) else ""
        return f"{self.rule} Found {self.count}" + (f": {shown}{more}." if shown else ".")


def fault(rule: str, offenders: Sequence[object], count: int | None = None) -> Fault:
    """A fault that shows the first offenders; count defaults to their number."""
    shown = tuple(str(offender) for offender in offenders[:NUM_SHOWN])
    return Fault(rule, len(offenders) if count is None else count, shown)


class EvaluationInputError(ValueError):
    """Ground truth or detections that cannot be evaluated as asked; `faults` holds all of them."""

    def __init__(self, what: str, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        lines = "\n".join(f"- {one}" for one in self.faults)
        super().__init__(f"{what} cannot be evaluated:\n{lines}")
