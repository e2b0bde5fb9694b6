"""Rows of cells turned into one comparison per method: means over seeds and paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crqat_pipeline.study.cell import IMAGE_DRAWS
from crqat_pipeline.study.spec import StudySpec
from crqat_pipeline.study.statistics import CONFIDENCE, Paired, holm, mean_and_deviation, paired_difference

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Compared:
    """One method on the reported seeds. figures: name -> seed -> value; AP and distances as measured, in [0, 1].

    teachers: seed -> identity of its teacher's weights. image_draws: seed -> AP (S,) on images drawn with replacement.
    """

    name: str
    label: str
    learning_rate: float
    figures: dict[str, dict[int, float]]
    reference: Compared | None
    teachers: dict[int, str]
    image_draws: dict[int, FloatArray] = field(default_factory=dict)

    def mean(self, figure: str) -> float:
        return mean_and_deviation(list(self.figures.get(figure, {}).values()))[0]

    def deviation(self, figure: str) -> float:
        return mean_and_deviation(list(self.figures.get(figure, {}).values()))[1]

    @property
    def seeds_of_other_teachers(self) -> list[int]:
        """Seeds that are not paired: their teacher is not the reference's (made on another machine, for example)."""
        theirs = self.reference.teachers if self.reference else {}
        return sorted(seed for seed in self.teachers.keys() & theirs.keys() if self.teachers[seed] != theirs[seed])

    def difference(self, figure: str) -> Paired | None:
        """To the reference; None for the reference itself, and for fewer than two seeds with the same teacher."""
        if self.reference is None:
            return None
        apart = set(self.seeds_of_other_teachers)
        ours = {seed: value for seed, value in self.figures.get(figure, {}).items() if seed not in apart}
        theirs = self.reference.figures.get(figure, {})
        if len(ours.keys() & theirs.keys()) < 2:
            return None
        return paired_difference(ours, theirs)

    def difference_over_images(self) -> tuple[float, float] | None:
        """Middle 95 % of the difference in AP (mean over seeds) on images drawn with replacement; None without."""
        if self.reference is None:
            return None
        theirs = self.reference.image_draws
        seeds = (self.image_draws.keys() & theirs.keys()) - set(self.seeds_of_other_teachers)
        if not seeds:
            return None
        mean_S = np.mean([self.image_draws[seed] - theirs[seed] for seed in sorted(seeds)], axis=0)
        low, high = np.percentile(mean_S, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
        return float(low), float(high)


IDENTITY = ("method", "phase", "seed", "learning_rate", "teacher", "failed", "seconds")
"""First columns of a table of cells; figures follow by name."""


def cells_by_method(rows: Sequence[Mapping[str, Any]]) -> dict[str, pd.DataFrame]:
    """One table per method, in the order of their first rows; its columns do not depend on what else was run."""
    cells = pd.DataFrame(rows)
    known = [name for name in IDENTITY if name in cells]
    cells = cells[[*known, *sorted(cells.columns.difference(known))]]
    return {str(method): one.dropna(axis="columns", how="all") for method, one in cells.groupby("method", sort=False)}


def compare(cells: pd.DataFrame, study: StudySpec) -> dict[str, Compared]:
    """Methods with at least one reported cell that did not fail, in the order of the parameters."""
    final = cells[cells["phase"] == "final"]
    compared: dict[str, Compared] = {}
    names = sorted(study.methods, key=lambda name: study.methods[name].reference is not None)
    for name in names:
        rows = final[final["method"] == name]
        numbers = rows.select_dtypes("number").drop(columns=["seed", "learning_rate"])
        figures = {
            str(figure): {
                int(seed): float(value)
                for seed, value in zip(rows["seed"], numbers[figure], strict=True)
                if math.isfinite(value)
            }
            for figure in numbers
        }
        if any(figures.values()):
            method = study.methods[name]
            reference = compared.get(method.reference) if method.reference and method.reference != name else None
            rate = float(rows["learning_rate"].iloc[0])
            known = rows["teacher"].fillna("unknown") if "teacher" in rows else ["unknown"] * len(rows)
            teachers = {int(seed): str(one) for seed, one in zip(rows["seed"], known, strict=True)}
            draws = _image_draws(rows)
            compared[name] = Compared(name, method.label, rate, figures, reference, teachers, draws)
    return {name: compared[name] for name in study.methods if name in compared}


def _image_draws(rows: pd.DataFrame) -> dict[int, FloatArray]:
    if IMAGE_DRAWS not in rows:
        return {}
    told = zip(rows["seed"], rows[IMAGE_DRAWS], strict=True)
    return {int(seed): np.array(text.split(), float) for seed, text in told if isinstance(text, str)}


def adjusted_p_values(compared: Mapping[str, Compared], figure: str) -> dict[str, float]:
    """method -> p-value of its difference in this figure, after Holm's correction over all methods that have one."""
    differences = {name: row.difference(figure) for name, row in compared.items()}
    return holm({name: paired.p_value for name, paired in differences.items() if paired is not None})


def grid(cells: pd.DataFrame, study: StudySpec, metric: str) -> dict[str, list[float]]:
    """method -> mean of the metric over the tuning seeds at each rate that any method tried (NaN where one diverged or
    the method did not try it)."""
    tuning = cells[cells["phase"] == "tuning"]
    rates = study.rates(*study.methods)
    means: dict[str, list[float]] = {}
    for name in study.methods:
        rows = tuning[tuning["method"] == name]
        if len(rows):
            means[name] = [_mean(rows[rows["learning_rate"] == rate][metric].tolist()) for rate in rates]
    return means


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
