"""Refuses a run whose given inputs are not named or not there, all of them in one message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click
from kedro.framework.hooks import hook_impl
from kedro.io import DatasetError
from kedro.pipeline import Pipeline

from crqat_pipeline.catalog_io.gathered import parts_of


class GivenInputError(DatasetError, click.ClickException):
    """All missing inputs; the command line prints it without a traceback."""


def given_faults(names: Iterable[str], catalog: Any) -> tuple[list[str], list[str]]:
    """What is missing of the given entries among these, a line each; and how --params names them."""
    faults: list[str] = []
    parameters: list[str] = []
    for name in sorted(names):
        entry: Any = catalog.get(name) if name in catalog else None
        if not getattr(entry, "given", False):
            continue
        faults += [f"{name}: {line}" for line in entry.missing()]
        parameters += (entry.metadata or {}).get("named_by", [name])
    return faults, list(dict.fromkeys(parameters))


class GivenCheck:
    """Looks at the entries with `given: true` that the pipeline uses."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: Any) -> None:
        faults, parameters = given_faults(set(parts_of(pipeline.datasets(), catalog)), catalog)
        if faults:
            example = ",".join(f"{name}=<path>" for name in parameters)
            lines = "\n".join(f"  {fault}" for fault in faults)
            raise GivenInputError(
                f"This environment reads your own files, and {len(faults)} of them cannot be found; nothing was run.\n"
                f"{lines}\nName them: --params {example}"
            )
