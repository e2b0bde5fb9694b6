"""What was measured of a model, put into its card when it is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from crqat_pipeline.evaluation.result import EvaluationResult
from crqat_pipeline.reporting.model_card.text import AFTER_FIGURES, FENCE, FIGURES, TASK, front_matter

Figures = Mapping[str, Mapping[str, EvaluationResult]]
"""Label of a form -> benchmark -> its result."""


def with_figures(card: str, figures: Figures) -> str:
    """The card with AP by protocol, as a table and in the front matter. Figures that were not measured are left out."""
    _, front, body = card.split(FENCE, 2)
    facts: dict[str, Any] = yaml.safe_load(front)
    before, _, rest = body.partition(FIGURES)
    after = rest[rest.index(AFTER_FIGURES) :]
    name = before.split("# ", 1)[1].splitlines()[0]
    rows = [(label, one) for label, results in figures.items() for one in results.values() if one.metrics["AP"] > -1]
    facts["model-index"] = [{"name": name, "results": [_indexed(label, one) for label, one in rows]}]
    lines = [
        f"| {label} | {one.protocol}, {one.backend} | {one.dataset}, {one.num_images} images | {_percent(one, 'AP')} | "
        f"{_percent(one, 'AP50')} |"
        for label, one in rows
    ]
    table = "\n".join(["| | protocol | data | AP | AP50 |", "| --- | --- | --- | --- | --- |", *lines])
    said = "AP in percent, one seed. Nothing was measured on other images."
    return f"{FENCE}{front_matter(facts)}{FENCE}{before}{FIGURES}\n{table}\n\n{said}\n\n{after}"


def _indexed(label: str, one: EvaluationResult) -> dict[str, Any]:
    return {
        "task": {"type": TASK},
        "dataset": {"type": one.dataset, "name": f"{one.dataset}, {one.num_images} images"},
        "metrics": [{"type": "mAP", "name": f"AP of {label} ({one.protocol})", "value": float(_percent(one, "AP"))}],
    }


def _percent(one: EvaluationResult, metric: str) -> str:
    return "–" if one.metrics[metric] == -1 else f"{100 * one.metrics[metric]:.1f}"
