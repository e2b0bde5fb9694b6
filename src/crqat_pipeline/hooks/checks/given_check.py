"""Refuses a run whose given inputs are not named or not there, all of them in one message.

What the run itself fetches is not missing; whether it can be fetched is asked before anything starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from kedro.framework.hooks import hook_impl
from kedro.io import DatasetError
from kedro.pipeline import Pipeline

from crqat_pipeline.catalog_io.gathered import parts_of


class GivenInputError(DatasetError, click.ClickException):
    """All missing inputs; the command line prints it without a traceback."""


FETCHING = "params:fetch_data"


def given_faults(
    names: Iterable[str], catalog: Any, is_fetched: Callable[[Path], bool] = lambda path: False
) -> tuple[list[str], list[str]]:
    """What is missing of the given entries among these, a line each; and how --params names them.

    is_fetched: whether the run itself puts something at a path.
    """
    faults: list[str] = []
    parameters: list[str] = []
    for name in sorted(names):
        entry: Any = catalog.get(name) if name in catalog else None
        if not getattr(entry, "given", False) or is_fetched(getattr(entry, "path", Path())):
            continue
        faults += [f"{name}: {line}" for line in entry.missing()]
        parameters += (entry.metadata or {}).get("named_by", [name])
    return faults, list(dict.fromkeys(parameters))


class GivenCheck:
    """Looks at the entries with `given: true` that the pipeline uses."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: Any) -> None:
        names = set(parts_of(pipeline.datasets(), catalog))
        faults, parameters = given_faults(names, catalog, _fetched_by(pipeline, catalog))
        if faults:
            example = ",".join(f"{name}=<path>" for name in parameters)
            lines = "\n".join(f"  {fault}" for fault in faults)
            raise GivenInputError(
                f"This environment reads your own files, and {len(faults)} of them cannot be found; nothing was run.\n"
                f"{lines}\nName them: --params {example}"
            )


def _fetched_by(pipeline: Pipeline, catalog: Any) -> Callable[[Path], bool]:
    """Whether the pipeline fetches what lies at a path. Raises GivenInputError for files that cannot be had."""
    makes_given = any(getattr(catalog.get(name), "given", False) for name in pipeline.all_outputs() if name in catalog)
    spec = catalog.load(FETCHING) if makes_given and FETCHING in pipeline.inputs() else None
    if spec is None or spec.published is None or not spec.published.is_fetched:
        return lambda path: False
    from crqat_pipeline.detection_data.published import PublishedFilesError, look_before, read_file_list

    folder = spec.published.folder
    try:
        files = read_file_list(spec.published.files)
        look_before(files, folder)
    except PublishedFilesError as error:
        raise GivenInputError(str(error)) from error
    return lambda path: files.promises(path, folder)
