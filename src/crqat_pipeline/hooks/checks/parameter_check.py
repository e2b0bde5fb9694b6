"""Refuses a run whose parameters are misspelt or impossible, with all faults in one message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click
from kedro.config import MissingConfigException
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.pipeline import Pipeline
from kedro.validation import ParameterValidationError, TypeExtractor
from pydantic import BaseModel

from crqat_pipeline.hooks.checks.parameter_faults import parameter_faults, spec_faults
from crqat_pipeline.hooks.environment_merge import EnvironmentConfigLoader
from crqat_pipeline.hooks.planned_parameters import SECTION, idle_stages, planned_sections

PREFIX = "params:"


class ParameterFaultsError(ParameterValidationError, click.ClickException):
    """All faults, by dotted path; the command line prints it without a traceback."""


def written_parameters(context: KedroContext) -> dict[str, Any]:
    """The parameters as the files and the command line give them, before any spec adds its defaults."""
    try:
        parameters: dict[str, Any] = context.config_loader["parameters"]
    except MissingConfigException:
        return {}
    return parameters


def _used(registered: Mapping[str, Pipeline]) -> set[str]:
    inputs = {name for pipeline in registered.values() for name in pipeline.inputs()}
    return {name.removeprefix(PREFIX) for name in inputs if name.startswith(PREFIX)}


def _specs(registered: Mapping[str, Pipeline]) -> dict[str, type[BaseModel]]:
    types = TypeExtractor(dict(registered)).extract_types_from_pipelines()
    return {name: kind for name, kind in types.items() if isinstance(kind, type) and issubclass(kind, BaseModel)}


def _given_inputs(context: KedroContext) -> set[str]:
    """What `--params <name>=<path>` may point to the user's files: catalog entries, or what their metadata say."""
    catalog: dict[str, Any] = context.config_loader["catalog"]
    given = {name: entry for name, entry in catalog.items() if isinstance(entry, dict) and entry.get("given")}
    return {key for name, entry in given.items() for key in (entry.get("metadata") or {}).get("named_by", [name])}


class ParameterCheck:
    """Kedro's own validation also reports every spec, but not misspelt top-level keys, missing values or full paths."""

    def __init__(self) -> None:
        self._parameters: dict[str, Any] = {}
        self._used: set[str] = set()

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Check what the requested pipelines (all of them, when none is named) ask for."""
        registered = dict(pipelines)
        loader = context.config_loader
        base_keys = loader.base_parameter_keys() if isinstance(loader, EnvironmentConfigLoader) else set()
        known = base_keys | _given_inputs(context)
        parameters, used = written_parameters(context), _used(registered)
        specs, planned = _specs(registered), planned_sections(parameters)
        known |= {name.split(".")[0] for name in planned}
        if used & planned:
            from crqat_pipeline.recipes.planned_stages import CurriculumSpec

            specs[SECTION] = CurriculumSpec
            is_faulty = any(spec_faults(SECTION, parameters[SECTION], CurriculumSpec))
            used = (used - planned if is_faulty else used) | {SECTION}
        faults = [*idle_stages(parameters), *parameter_faults(parameters, specs, used, known)]
        if not faults and used & {"run", "detector", "data_prep"}:
            from crqat_pipeline.recipes.parameter_fit import misfits

            faults = list(misfits(parameters, used))
        _refuse(faults)
        self._parameters, self._used = parameters, used

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self) -> None:
        """What depends on the machine that trains: looking at a configuration elsewhere is free."""
        from crqat_pipeline.recipes.memory_fit import batch_misfits

        _refuse(list(batch_misfits(self._parameters, self._used)))


def _refuse(faults: Sequence[str]) -> None:
    if faults:
        count = f"{len(faults)} faults" if len(faults) > 1 else "1 fault"
        lines = "\n".join(f"  {fault}" for fault in faults)
        raise ParameterFaultsError(f"{count} in the parameters; nothing was run.\n{lines}")
