"""The picture of an allocation: layer by layer its widths, what its bits move, what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW_INCHES, _WIDTH_INCHES = 0.17, 10.0
_COLOURS = {"weight": "#3b6ea5", "activation": "#e08a3c", "moved": "#8a4f9e", "cost": "#6b8f5e"}


def allocation_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """One line per layer in the order of the network: bits of weight and activation, sensitivity, share of BOPs.

    rows: of recipes.allocating. Raises ValueError for no rows.
    """
    from matplotlib.figure import Figure

    if not rows:
        raise ValueError("A picture of an allocation needs layers; got none.")
    figure = Figure(figsize=(_WIDTH_INCHES, max(3.0, _ROW_INCHES * len(rows) + 1.4)), layout="constrained")
    bits, moved, cost = figure.subplots(1, 3, sharey=True, width_ratios=[2, 1, 1])
    places = range(len(rows))
    _draw_bits(bits, rows)
    moved.barh(places, [row["sensitivity"] for row in rows], color=_COLOURS["moved"])
    moved.set_xlabel("movement of the answers\n(predicted, before training)")
    total = sum(row["gbops"] for row in rows) or 1.0
    cost.barh(places, [100 * row["gbops"] / total for row in rows], color=_COLOURS["cost"])
    cost.set_xlabel("share of BOPs, %")
    bits.set_yticks(places, [row["layer"] for row in rows], fontsize=6)
    bits.set_ylim(len(rows) - 0.5, -0.5)
    for axes in (moved, cost):
        axes.tick_params(labelleft=False)
        axes.grid(axis="x", alpha=0.3)
    return figure


def _draw_bits(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """Points at the widths; full precision stands at the right end, without a number."""
    for what, offset in (("weight", -0.15), ("activation", 0.15)):
        widths = [row[f"{what}_bits"] for row in rows]
        x = [9 if width == "none" else int(width) for width in widths]
        axes.scatter(
            x, [place + offset for place in range(len(rows))], s=14, color=_COLOURS[what], label=f"{what} bits"
        )
    axes.set_xlim(1.5, 9.5)
    axes.set_xticks([*range(2, 9), 9], [*map(str, range(2, 9)), "full"])
    axes.grid(alpha=0.3)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, fontsize=8)
