"""Refuses a run whose given inputs are not named or not there, all of them in one message."""

from __future__ import annotations

from typing import Any

import click
from kedro.framework.hooks import hook_impl
from kedro.io import DatasetError
from kedro.pipeline import Pipeline

from crqat_pipeline.catalog_io.given import GivenOrMade


class GivenInputError(DatasetError, click.ClickException):
    """All missing inputs; the command line prints it without a traceback."""


class GivenCheck:
    """Looks at the entries with `given: true` that the pipeline uses."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: Any) -> None:
        entries = {name: catalog.get(name) for name in sorted(pipeline.datasets()) if name in catalog}
        given = {name: entry for name, entry in entries.items() if isinstance(entry, GivenOrMade) and entry.given}
        named = {name: entry for name, entry in given.items() if entry.is_named}
        faults = [f"{name}: not named" for name in given if name not in named]
        faults += [f"{name}: nothing at {entry.path}" for name, entry in named.items() if not entry.exists()]
        if faults:
            example = ",".join(f"{name}=<path>" for name in given)
            lines = "\n".join(f"  {fault}" for fault in faults)
            raise GivenInputError(
                f"This environment reads your own files, and {len(faults)} of them cannot be found; nothing was run.\n"
                f"{lines}\nName them: --params {example}"
            )
