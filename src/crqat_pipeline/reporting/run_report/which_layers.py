"""Which layers break, as the report tells it: quantizers and groups by what they move, with SQNR and AP beside.

Shape letters: T tensors of a layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, log10
from typing import TYPE_CHECKING, Any

from crqat_pipeline.evaluation.correlation import ranks, spearman

if TYPE_CHECKING:
    import pandas as pd

MOST_SHOWN = 10
KINDS = {
    "whole": "All quantizers",
    "part": "Parts",
    "block": "Blocks",
    "tensor": "Kinds of tensor",
    "tensor of part": "Kinds of tensor by part",
}
"""Kind of a group -> title of its table."""
DECADES = 4.0
"""Of movement, from no colour to the full one."""


@dataclass(frozen=True)
class WorstQuantizer:
    """noise_rank: by SQNR, 1 is the worst. width: of the bar of its movement, 0 to 100."""

    name: str
    bits: int
    movement: float
    sqnr_db: float
    noise_rank: int
    width: float


@dataclass(frozen=True)
class GroupRow:
    """movement: None for the row without any quantizer. ap: in [0, 1], None where it was not measured."""

    name: str
    quantizers: int
    movement: float | None
    ap: float | None
    width: float


@dataclass(frozen=True)
class HeatCell:
    """strength: of the colour, 0 to 1."""

    text: str
    strength: float


@dataclass(frozen=True)
class FormLayers:
    """One form. groups: title -> rows. ap_images: on which AP was measured, 0 where it was not.

    heat: layer -> cells of its T tensors by SQNR, then by movement; None where the layer has no such tensor.
    """

    num_quantizers: int
    correlation: float
    worst: Sequence[WorstQuantizer]
    groups: Mapping[str, Sequence[GroupRow]]
    ap_images: int
    tensors: Sequence[str]
    heat: Mapping[str, Sequence[HeatCell | None]]


def form_layers(layers: pd.DataFrame, groups: pd.DataFrame, group_ap: pd.DataFrame) -> FormLayers:
    """layers and groups: the diagnostics of a stage. group_ap: rows of this form, or none."""
    rows: list[dict[str, Any]] = [{str(key): value for key, value in row.items()} for row in layers.to_dict("records")]
    moved = [float(row["movement"]) for row in rows]
    noise = [-float(row["sqnr_db"]) for row in rows]
    noise_ranks = [round(len(rows) + 1 - rank) for rank in ranks(noise)]
    most = max(moved, default=0.0) or 1.0
    order = sorted(range(len(rows)), key=lambda one: -moved[one])[:MOST_SHOWN]
    worst = [
        WorstQuantizer(
            rows[i]["name"].removesuffix("_quantizer"),
            int(rows[i]["bits"]),
            moved[i],
            -noise[i],
            noise_ranks[i],
            100 * moved[i] / most,
        )
        for i in order
    ]
    tensors = list(dict.fromkeys(row["tensor"] for row in rows))
    images = 0 if group_ap.empty else int(group_ap["images"].iloc[0])
    return FormLayers(
        num_quantizers=len(rows),
        correlation=spearman(noise, moved),
        worst=worst,
        groups=_groups(groups, group_ap),
        ap_images=images,
        tensors=tensors,
        heat=_heat(rows, tensors, most),
    )


def _groups(groups: pd.DataFrame, group_ap: pd.DataFrame) -> dict[str, list[GroupRow]]:
    """Tables in the order of KINDS, the largest movement first; first of all the form without any quantizer."""
    scores = {(str(row["kind"]), str(row["group"])): float(row["AP"]) for _, row in group_ap.iterrows()}
    rows = [
        (str(row["kind"]), str(row["group"]), int(row["quantizers"]), float(row["movement"]))
        for _, row in groups.iterrows()
    ]
    most = max((movement for *_, movement in rows), default=0.0) or 1.0
    known = {(kind, name) for kind, name, *_ in rows}
    tables: dict[str, list[GroupRow]] = {}
    for kind, title in KINDS.items():
        unmoved = (name for own, name in scores.keys() - known if own == kind)
        table = [GroupRow(name, 0, None, scores[kind, name], 0.0) for name in unmoved]
        table += [
            GroupRow(name, number, movement, scores.get((kind, name)), 100 * movement / most)
            for own, name, number, movement in sorted(rows, key=lambda row: -row[3])
            if own == kind
        ]
        if table:
            tables[title] = table
    return tables


def _heat(rows: Sequence[Mapping[str, Any]], tensors: Sequence[str], most: float) -> dict[str, list[HeatCell | None]]:
    finite = [float(row["sqnr_db"]) for row in rows if isfinite(float(row["sqnr_db"]))]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    cells: dict[str, list[HeatCell | None]] = {}
    for row in rows:
        line = cells.setdefault(str(row["layer"]), [None] * (2 * len(tensors)))
        place = tensors.index(row["tensor"])
        sqnr, movement = float(row["sqnr_db"]), float(row["movement"])
        strength = (high - sqnr) / (high - low) if isfinite(sqnr) and high > low else 0.0
        line[place] = HeatCell(f"{sqnr:.1f}", strength)
        decades = log10(movement / most) if movement > 0 else -DECADES
        line[place + len(tensors)] = HeatCell(short(movement), max(0.0, 1 + decades / DECADES))
    return cells


def short(value: float) -> str:
    """Two significant digits, without an exponent down to 0.0001."""
    return f"{value:.2g}" if value >= 1e-4 or value == 0 else f"{value:.0e}"
