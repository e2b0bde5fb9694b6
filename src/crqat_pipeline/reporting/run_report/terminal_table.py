"""The table of a run, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COLUMNS: tuple[tuple[str, tuple[str, ...], float, int], ...] = (
    ("AP", ("coco", "AP"), 100, 1),
    ("AP50", ("coco", "AP50"), 100, 1),
    ("seen", ("coco", "AP_qat"), 100, 1),
    ("unseen", ("coco", "AP_unseen"), 100, 1),
    ("novel", ("coco", "AP_novel"), 100, 1),
    ("LVIS AP", ("lvis", "AP"), 100, 1),
    ("APr", ("lvis", "APr"), 100, 1),
    ("APc", ("lvis", "APc"), 100, 1),
    ("APf", ("lvis", "APf"), 100, 1),
    ("AP on QAT images", ("train", "AP"), 100, 1),
    ("MB", ("size_mb",), 1, 2),
    ("GBOPs", ("bops_t",), 1000, 2),
)
"""Title, path in the metrics, factor, decimals."""


def terminal_table(metrics: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """Forms down, figures across; columns that nobody measured are left out. AP in percent, MB of 2^20 bytes."""
    rows = [["", *(title for title, *_ in COLUMNS)]]
    for form, label in labels.items():
        if form in metrics:
            rows.append([label, *(_cell(metrics[form], path, factor, digits) for _, path, factor, digits in COLUMNS)])
    measured = [i for i in range(len(rows[0])) if i == 0 or any(row[i] for row in rows[1:])]
    widths = [max(len(row[i]) for row in rows) for i in measured]
    lines = [
        "  ".join(
            row[i].ljust(width) if i == 0 else row[i].rjust(width) for i, width in zip(measured, widths, strict=True)
        )
        for row in rows
    ]
    return "\n".join(["", lines[0], "-" * len(lines[0]), *lines[1:], ""])


def _cell(metrics: Mapping[str, Any], path: tuple[str, ...], factor: float, digits: int) -> str:
    value: Any = metrics
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return "" if value is None else f"{factor * value:.{digits}f}"
