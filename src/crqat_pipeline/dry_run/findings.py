"""The findings of a dry run as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Row = Sequence[str]


@dataclass
class DryRunReport:
    """sections: title -> rows, the first of which names the columns. missing: what the run cannot do without."""

    title: str
    sections: dict[str, list[Row]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def add(self, section: str, columns: Row, rows: Sequence[Row]) -> None:
        """A section; left out without rows."""
        if rows:
            self.sections[section] = [columns, *rows]

    def table_of(self, section: str) -> list[str]:
        """The lines of one section; none where there is no such section."""
        return _table(self.sections[section]) if section in self.sections else []

    @property
    def is_ready(self) -> bool:
        return not self.missing

    def __str__(self) -> str:
        lines = [f"Dry run of {self.title}. Nothing is trained or written."]
        for title, rows in self.sections.items():
            lines += ["", title, *_table(rows)]
        if self.notes:
            lines += ["", "Notes", *(f"  - {note}" for note in self.notes)]
        if self.is_ready:
            return "\n".join([*lines, "", "Ready: nothing is missing."])
        return "\n".join(
            [*lines, "", f"Not ready, {len(self.missing)} missing:", *(f"  - {one}" for one in self.missing)]
        )


def _table(rows: Sequence[Row]) -> list[str]:
    """Columns of equal width; those of numbers are set to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    is_number = [all(_is_number(row[column]) for row in rows[1:]) for column in range(len(rows[0]))]
    lines = []
    for index, row in enumerate(rows):
        cells = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(row, widths, is_number, strict=True)
        ]
        lines.append(f"  {'  '.join(cells)}".rstrip())
        if index == 0:
            lines.append(f"  {'  '.join('-' * width for width in widths)}")
    return lines


def _is_number(text: str) -> bool:
    return not text.strip("~0123456789.,-?")


def count(number: int | None, is_estimate: bool = False) -> str:
    """1,742,289; ~ before what was not counted; - for what nobody knows."""
    return "-" if number is None else f"{'~' if is_estimate else ''}{number:,}"
