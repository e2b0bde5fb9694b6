"""The cost of a detector as numbers, as JSON and as a table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MB = 2.0**20
LOW_BITS = 4


@dataclass(frozen=True)
class OperationRow:
    """One layer or product. bits: of its operands. activation_bytes: of what it reads. stored_bytes: of its weights."""

    name: str
    kind: str
    part: str
    bits: tuple[int, int]
    macs: int
    activation_bytes: float
    stored_bytes: float

    @property
    def bops(self) -> int:
        return self.macs * self.bits[0] * self.bits[1]


@dataclass(frozen=True)
class ClassRow:
    """All operations of one kind and width. bops_share: of the total, in [0, 1]."""

    kind: str
    bits: tuple[int, int]
    count: int
    macs_g: float
    bops_t: float
    bops_share: float
    stored_mb: float


@dataclass(frozen=True)
class CostReport:
    """Totals for one image. size_mb: 2^20 bytes. bops_t: 10^12. macs_g: 10^9. params: without quantizers.

    activation_mb: inputs of all layers and products at their bits; largest_activation_mb: the largest of them.
    bops_above_4_bits: share of the BOPs whose operands are not both of at most 4 bits, in [0, 1].
    """

    image_size_px: int
    num_prompts: int
    params: int
    size_mb: float
    macs_g: float
    bops_t: float
    bops_above_4_bits: float
    activation_mb: float
    largest_activation_mb: float
    classes: tuple[ClassRow, ...]
    layers: tuple[OperationRow, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able totals and classes."""
        totals = {name: value for name, value in vars(self).items() if name not in ("classes", "layers")}
        rows = [{**vars(row), "bits": f"{row.bits[0]}x{row.bits[1]}"} for row in self.classes]
        return {**totals, "classes": rows}

    def __str__(self) -> str:
        lines = [
            f"{self.image_size_px} px, {self.num_prompts} prompts, {self.params:,} parameters",
            f"size {self.size_mb:.2f} MB   MACs {self.macs_g:.2f} G   BOPs {self.bops_t:.2f} T "
            f"({self.bops_above_4_bits:.0%} above 4 bits)",
            f"activations read {self.activation_mb:.1f} MB, largest {self.largest_activation_mb:.1f} MB",
            "",
            f"{'operation':<20}{'bits':>7}{'count':>7}{'MACs (G)':>10}{'BOPs (T)':>10}{'share':>7}{'size (MB)':>11}",
        ]
        for row in self.classes:
            bits = f"{row.bits[0]}x{row.bits[1]}"
            lines.append(
                f"{row.kind:<20}{bits:>7}{row.count:>7}{row.macs_g:>10.3f}{row.bops_t:>10.3f}"
                f"{row.bops_share:>7.1%}{row.stored_mb:>11.2f}"
            )
        return "\n".join(lines)


def gather(
    rows: Sequence[OperationRow], size_bytes: float, num_parameters: int, image_size_px: int, num_prompts: int
) -> CostReport:
    """Sum the rows by class and in total."""
    groups: dict[tuple[str, tuple[int, int]], list[OperationRow]] = defaultdict(list)
    for row in rows:
        groups[row.kind, row.bits].append(row)
    bops = sum(row.bops for row in rows)
    classes = [
        ClassRow(
            kind=kind,
            bits=bits,
            count=len(members),
            macs_g=sum(row.macs for row in members) / 1e9,
            bops_t=sum(row.bops for row in members) / 1e12,
            bops_share=sum(row.bops for row in members) / bops if bops else 0.0,
            stored_mb=sum(row.stored_bytes for row in members) / MB,
        )
        for (kind, bits), members in groups.items()
    ]
    return CostReport(
        image_size_px=image_size_px,
        num_prompts=num_prompts,
        params=num_parameters,
        size_mb=size_bytes / MB,
        macs_g=sum(row.macs for row in rows) / 1e9,
        bops_t=bops / 1e12,
        bops_above_4_bits=sum(row.bops for row in rows if max(row.bits) > LOW_BITS) / bops if bops else 0.0,
        activation_mb=sum(row.activation_bytes for row in rows) / MB,
        largest_activation_mb=max((row.activation_bytes for row in rows), default=0.0) / MB,
        classes=tuple(sorted(classes, key=lambda row: -row.bops_t)),
        layers=tuple(rows),
    )
