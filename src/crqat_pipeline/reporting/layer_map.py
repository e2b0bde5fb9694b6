"""Pictures of diagnostics: layers against tensors, and steps of training against quantizers.

Shape letters: L layers, T columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, log2, log10, nan
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW_INCHES, _WIDTH_INCHES = 0.16, 8.0
_DECADES = 1e4
"""The largest movement over the smallest that has a colour of its own."""


def layer_heat_map(rows: Sequence[Mapping[Any, Any]]) -> Figure:
    """One line per layer, a column per tensor (weight, input, ...): SQNR on the left, movement of the answers beside.

    rows: quantizer_rows with their movement. Bright is bad on both sides, by scales of their own; that of movement is
    logarithmic. Raises ValueError if there are no rows or they lack one of the two.
    """
    for value in ("sqnr_db", "movement"):
        _check(rows, value)
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    tensors = list(dict.fromkeys(row["tensor"] for row in rows))
    most = max(float(row["movement"]) for row in rows) or 1.0
    least = most / _DECADES
    figure = _figure(len(layers))
    left, right = figure.subplots(1, 2, sharey=True)
    noise_LT, moved_LT = (_cells(rows, layers, tensors, value) for value in ("sqnr_db", "movement"))
    _paint(left, noise_LT, layers, tensors, "SQNR of the tensor in dB", "viridis_r")
    moved_LT = [[log10(max(cell, least)) if isfinite(cell) else nan for cell in line] for line in moved_LT]
    label = "log10 of the movement of the answers, this quantizer alone on"
    _paint(right, moved_LT, layers, tensors, label, "viridis", (log10(least), log10(most)))
    right.tick_params(labelleft=False)
    return figure


def _cells(
    rows: Sequence[Mapping[Any, Any]], layers: Sequence[str], tensors: Sequence[str], value: str
) -> list[list[float]]:
    cells_LT = [[nan] * len(tensors) for _ in layers]
    for row in rows:
        number = float(row[value])
        cells_LT[layers.index(row["layer"])][tensors.index(row["tensor"])] = number if isfinite(number) else nan
    return cells_LT


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
    figure = _figure(len(names))
    _paint(figure.add_subplot(), cells_LT, names, labels, "log2(scale / first scale)", "coolwarm", (-reach, reach))
    return figure


def _check(rows: Sequence[Mapping[Any, Any]], value: str) -> None:
    if not rows or value not in rows[0]:
        known = ", ".join(rows[0]) if rows else "no rows at all"
        raise ValueError(f"A heat map of {value!r} needs rows that have it; got {known}.")


def _figure(num_lines: int) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(_WIDTH_INCHES, max(2.0, _ROW_INCHES * num_lines + 1.2)), layout="constrained")


def _paint(
    axes: Axes,
    cells_LT: list[list[float]],
    lines: Sequence[str],
    columns: Sequence[str],
    label: str,
    colours: str,
    limits: tuple[float, float] | None = None,
) -> None:
    low, high = limits if limits is not None else (None, None)
    image = axes.imshow(cells_LT, aspect="auto", cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    axes.set_yticks(range(len(lines)), lines, fontsize=6)
    axes.set_xticks(range(len(columns)), columns, fontsize=7, rotation=45, ha="right")
    bar = axes.figure.colorbar(image, ax=axes)
    bar.set_label(label, fontsize=7)
    bar.ax.tick_params(labelsize=7)
