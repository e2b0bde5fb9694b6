"""The command that repeats a session: what was typed, or what would have to be typed for one started from Python."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import click

from crqat_pipeline.hooks.tracking.flat_values import flat_parameters
from crqat_pipeline.runtime.command_line import typed_command

OPTIONS = {
    "pipeline_names": "--pipelines",
    "env": "--env",
    "tags": "--tags",
    "node_names": "--nodes",
    "from_nodes": "--from-nodes",
    "to_nodes": "--to-nodes",
    "from_inputs": "--from-inputs",
    "to_outputs": "--to-outputs",
    "namespaces": "--namespaces",
}
"""What KedroSession.run was asked for -> the option of `kedro run`."""


def session_command(run_params: Mapping[str, Any]) -> str:
    """`kedro run --pipelines=… --env=… --params=…`. run_params: what Kedro tells its hooks about the run."""
    if click.get_current_context(silent=True) is not None:
        return typed_command()
    return shlex.join(["kedro", "run", *_options(run_params)])


def _options(run_params: Mapping[str, Any]) -> Iterator[str]:
    for key, option in OPTIONS.items():
        value = run_params.get(key)
        if value:
            yield f"{option}={value if isinstance(value, str) else ','.join(sorted(value))}"
    parameters = flat_parameters(run_params.get("runtime_params") or {})
    if parameters:
        yield f"--params={','.join(f'{name}={value}' for name, value in parameters.items())}"
    if run_params.get("only_missing_outputs"):
        yield "--only-missing-outputs"
