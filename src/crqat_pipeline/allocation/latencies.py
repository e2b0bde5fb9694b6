"""Measured times of layers at their widths: a table that a device's owner gives."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from crqat_pipeline.quantization.bit_widths import FLOAT_BITS
from crqat_pipeline.runtime.lookup import near_name

COLUMNS = ("layer", "weight_bits", "activation_bits", "milliseconds")


@dataclass(frozen=True)
class Latencies:
    """(layer, weight bits, activation bits) -> milliseconds; 32 bits stand for full precision. path: for messages."""

    path: Path
    times: Mapping[tuple[str, int, int], float]

    @property
    def layers(self) -> frozenset[str]:
        return frozenset(layer for layer, _, _ in self.times)

    def of(self, layer: str, weight: int, activation: int) -> float:
        """0 for a layer that the table leaves out. Raises ValueError for one that lacks these widths."""
        time = self.times.get((layer, weight, activation))
        if time is None and layer in self.layers:
            raise ValueError(
                f"{self.path} has times of {layer}, but none at {weight} bits of weight and {activation} of activation "
                f"({FLOAT_BITS}: full precision). Measure it, or take a menu without these widths."
            )
        return time or 0.0


def read_latencies(path: Path) -> Latencies:
    """A CSV with the columns layer, weight_bits, activation_bits, milliseconds; "none" is full precision.

    Raises ValueError for another header, widths or times that are none, and a row that is there twice.
    """
    times: dict[tuple[str, int, int], float] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) != COLUMNS:
            raise ValueError(f"{path} needs the columns {', '.join(COLUMNS)}; got {rows.fieldnames}.")
        for number, row in enumerate(rows, start=2):
            key = str(row["layer"]), _bits(row["weight_bits"]), _bits(row["activation_bits"])
            time = _time(row["milliseconds"])
            if 0 in key[1:] or time is None:
                raise ValueError(
                    f"{path}, line {number}: widths are 2 to 8 or none, a time is a positive number of milliseconds; "
                    f"got {', '.join(map(str, row.values()))}."
                )
            if key in times:
                raise ValueError(f"{path}, line {number}: {key[0]} at these widths is there twice. Leave one out.")
            times[key] = time
    if not times:
        raise ValueError(f"{path} holds no times. Each line is a layer at two widths and its milliseconds.")
    return Latencies(path, times)


def check_layers(latencies: Latencies, names: frozenset[str]) -> None:
    """Raises ValueError for a layer of the table that the detector does not have, with the nearest name."""
    unknown = sorted(latencies.layers - names)
    if unknown:
        near = near_name(unknown[0], names)
        hint = f" Did you mean {near}?" if near else ""
        raise ValueError(
            f"{latencies.path} has {len(unknown)} layers that this detector does not quantize: {unknown[0]}.{hint}"
        )


def _bits(text: str | None) -> int:
    """0 for what is no width."""
    if text == "none":
        return FLOAT_BITS
    return int(text) if text in {"2", "3", "4", "5", "6", "7", "8", str(FLOAT_BITS)} else 0


def _time(text: str | None) -> float | None:
    try:
        time = float(text or "")
    except ValueError:
        return None
    return time if isfinite(time) and time > 0 else None
