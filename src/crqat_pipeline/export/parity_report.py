"""What the comparison of an exported graph with its student found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CodeRow:
    """One quantizer. num_ties: mismatches whose value lies on the border of two codes, up to float rounding."""

    quantizer: str
    num_codes: int
    num_mismatches: int
    num_ties: int
    largest_difference: int

    @property
    def num_unexplained(self) -> int:
        """Mismatches that are no ties."""
        return self.num_mismatches - self.num_ties


@dataclass(frozen=True)
class ParityReport:
    """rows: one per quantizer. The largest differences are between the graph and the student fed with its codes; NaN
    where one of both computed NaN."""

    runtime: str
    num_images: int
    rows: tuple[CodeRow, ...]
    largest_score_difference: float
    largest_box_difference_px: float
    integer_convolutions: int
    float_convolutions: int

    @property
    def num_codes(self) -> int:
        return sum(row.num_codes for row in self.rows)

    @property
    def num_mismatches(self) -> int:
        return sum(row.num_mismatches for row in self.rows)

    @property
    def num_unexplained(self) -> int:
        """Mismatches that are no ties."""
        return sum(row.num_unexplained for row in self.rows)

    def __str__(self) -> str:
        lines = [
            f"{self.runtime}, {self.num_images} images: {self.num_mismatches} of {self.num_codes} codes differ "
            f"({self.num_unexplained} of them no ties); {self.integer_convolutions} convolutions run on integers, "
            f"{self.float_convolutions} in floating point; boxes within {self.largest_box_difference_px:.2g} px, "
            f"scores within {self.largest_score_difference:.2g}"
        ]
        for row in self.rows:
            if row.num_mismatches:
                lines.append(
                    f"  {row.quantizer}: {row.num_mismatches} of {row.num_codes}, {row.num_ties} ties, by at most "
                    f"{row.largest_difference}"
                )
        return "\n".join(lines)


def joined(reports: Sequence[ParityReport]) -> ParityReport:
    """One report over several batches of the same graph in the same runtime."""
    first = reports[0]
    rows: dict[str, list[CodeRow]] = {}
    for row in (row for report in reports for row in report.rows):
        rows.setdefault(row.quantizer, []).append(row)
    return ParityReport(
        first.runtime,
        sum(report.num_images for report in reports),
        tuple(_sum(same) for same in rows.values()),
        _largest(report.largest_score_difference for report in reports),
        _largest(report.largest_box_difference_px for report in reports),
        first.integer_convolutions,
        first.float_convolutions,
    )


def _largest(differences: Iterable[float]) -> float:
    """The largest, NaN if one is NaN (of which Python's max would say nothing)."""
    return float(np.max(list(differences)))


def _sum(rows: Sequence[CodeRow]) -> CodeRow:
    return CodeRow(
        rows[0].quantizer,
        sum(row.num_codes for row in rows),
        sum(row.num_mismatches for row in rows),
        sum(row.num_ties for row in rows),
        max(row.largest_difference for row in rows),
    )
