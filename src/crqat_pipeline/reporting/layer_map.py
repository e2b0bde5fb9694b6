"""Pictures of diagnostics: layers against tensors, and steps of training against quantizers.

Shape letters: L layers, T columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, log2, nan
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROW_INCHES, _WIDTH_INCHES = 0.16, 8.0


def layer_heat_map(rows: Sequence[Mapping[Any, Any]], value: str = "sqnr_db") -> Figure:
    """One line per layer, one column per tensor (weight, input, ...): the colour is `value` of quantizer_rows.

    Raises ValueError if there are no rows or they lack the value.
    """
    _check(rows, value)
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    tensors = list(dict.fromkeys(row["tensor"] for row in rows))
    cells_LT = [[nan] * len(tensors) for _ in layers]
    for row in rows:
        number = float(row[value])
        cells_LT[layers.index(row["layer"])][tensors.index(row["tensor"])] = number if isfinite(number) else nan
    return _draw(cells_LT, layers, tensors, value, "viridis", None)


def history_heat_map(rows: Sequence[Mapping[Any, Any]]) -> Figure:
    """One line per quantizer, one column per step: log2 of its mean scale relative to the first step of scale_rows."""
    _check(rows, "scale_mean")
    names = list(dict.fromkeys(row["name"] for row in rows))
    steps = sorted({row["step"] for row in rows})
    scales = {(row["name"], row["step"]): float(row["scale_mean"]) for row in rows}
    cells_LT = []
    for name in names:
        first = next(scales[name, step] for step in steps if (name, step) in scales)
        cells_LT.append([log2(scales[name, step] / first) if (name, step) in scales else nan for step in steps])
    reach = max((abs(cell) for line in cells_LT for cell in line if isfinite(cell)), default=0.0) or 1.0
    labels = [str(step) for step in steps]
    return _draw(cells_LT, names, labels, "log2(scale / first scale)", "coolwarm", (-reach, reach))


def _check(rows: Sequence[Mapping[Any, Any]], value: str) -> None:
    if not rows or value not in rows[0]:
        known = ", ".join(rows[0]) if rows else "no rows at all"
        raise ValueError(f"A heat map of {value!r} needs rows that have it; got {known}.")


def _draw(
    cells_LT: list[list[float]],
    lines: list[str],
    columns: list[str],
    label: str,
    colours: str,
    limits: tuple[float, float] | None,
) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_INCHES, max(2.0, _ROW_INCHES * len(lines) + 1.2)), layout="constrained")
    axes = figure.add_subplot()
    low, high = limits if limits is not None else (None, None)
    image = axes.imshow(cells_LT, aspect="auto", cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    axes.set_yticks(range(len(lines)), lines, fontsize=6)
    axes.set_xticks(range(len(columns)), columns, fontsize=7, rotation=45, ha="right")
    figure.colorbar(image, ax=axes, label=label)
    return figure
