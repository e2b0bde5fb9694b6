"""Faults of many small files, told together."""

from __future__ import annotations

from pathlib import Path

SHOWN = 10


class LineFaults:
    """Collects what is wrong, and raises it in one ValueError."""

    def __init__(self, layout: str, folder: Path, rule: str) -> None:
        self._head = f"{layout} annotations in {folder}"
        self._rule = rule
        self._lines: list[str] = []

    def add(self, where: str, what: str) -> None:
        self._lines.append(f"  - {where}: {what}")

    def raise_if_any(self) -> None:
        """Raises ValueError with the rule, the first faults, and how many there are."""
        if not self._lines:
            return
        more = [f"  … and {len(self._lines) - SHOWN} more"] if len(self._lines) > SHOWN else []
        raise ValueError(
            "\n".join([f"{self._head} have {len(self._lines)} faults. {self._rule}", *self._lines[:SHOWN], *more])
        )
