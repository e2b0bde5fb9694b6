"""What `prepare` did to every layer, and why not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class LayerRow:
    """One layer or operand. became: "quantized" or "full precision"; detail: bits and steps, or the reason."""

    name: str
    kind: str
    part: str
    became: str
    detail: str


@dataclass(frozen=True)
class PrepareSummary:
    """Rows in the order of the modules. `str()` prints a table."""

    notation: str
    rows: tuple[LayerRow, ...]

    @property
    def quantized(self) -> tuple[str, ...]:
        return tuple(row.name for row in self.rows if row.became == "quantized")

    @property
    def full_precision(self) -> dict[str, str]:
        """Names that stay in full precision, with the reason."""
        return {row.name: row.detail for row in self.rows if row.became != "quantized"}

    def __str__(self) -> str:
        cells = [("layer", "kind", "part", "became", "detail")]
        cells += [(row.name, row.kind, row.part, row.became, row.detail) for row in self.rows]
        widths = [max(len(row[column]) for row in cells) for column in range(5)]
        lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in cells]
        lines.insert(1, "  ".join("-" * width for width in widths))
        counts = Counter(row.became for row in self.rows)
        totals = ", ".join(f"{count} {became}" for became, count in counts.items())
        return "\n".join(line.rstrip() for line in [f"{self.notation}: {totals}", *lines])
