"""Kedro's settings of this project: hooks, merging of environments, resolvers of the configuration."""

from __future__ import annotations

import math
import os
from pathlib import Path

from kedro.utils import find_kedro_project

from crqat_pipeline.hooks.checks.given_check import GivenCheck
from crqat_pipeline.hooks.checks.parameter_check import ParameterCheck
from crqat_pipeline.hooks.checks.run_lock import RunLock
from crqat_pipeline.hooks.chosen_pipelines import ChosenPipelines
from crqat_pipeline.hooks.console import Console
from crqat_pipeline.hooks.gathered_entries import GatheredEntries
from crqat_pipeline.hooks.output_names import OutputNames
from crqat_pipeline.hooks.planned_parameters import PlannedConfigLoader
from crqat_pipeline.hooks.tracking.guard import TrackingGuard
from crqat_pipeline.hooks.tracking.kept_folder import kept_folder
from crqat_pipeline.hooks.tracking.safe_mlflow import SafeMlflowHook
from crqat_pipeline.hooks.tracking.stage_runs import StageRunsHook


def _project_folder() -> Path:
    """The folder with pyproject.toml above the working directory; the working directory for an installed wheel."""
    return Path(find_kedro_project(Path.cwd()) or Path.cwd()).resolve()


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI where it is set, else a SQLite file in the project folder, also of a copy that DVC made."""
    database = kept_folder(_project_folder()) / "mlflow.db"
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{database.as_posix()}"


def artifact_location() -> str | None:
    """The folder mlartifacts beside the SQLite file; None where a server keeps the artifacts itself."""
    scheme, _, database = tracking_uri().partition(":///")
    return (Path(database).resolve().parent / "mlartifacts").as_uri() if scheme == "sqlite" else None


TAG_PARAMETERS = {
    "seed": ("run.seed",),
    "bits": ("quantization.weight_bits", "quantization.activation_bits", "quantization.attention_bits"),
}
"""Tag of every run -> the parameters whose values it shows, joined by dashes: bits=4-4-8."""

FOREIGN_TAGS = {"bits": ("fetch_data", "data_prep", "teacher")}
"""Tag -> stages whose runs do not carry it: what they make has no width, or full precision."""

_guard = TrackingGuard()
_session_run = SafeMlflowHook(_guard)

HOOKS = (
    ParameterCheck(),
    GivenCheck(),
    RunLock(),
    Console(),
    _session_run,
    StageRunsHook(_guard, _session_run, TAG_PARAMETERS, FOREIGN_TAGS),
    GatheredEntries(),
    OutputNames(),
    ChosenPipelines(),  # of hooks that come first the last is called first: pipelines before the check of parameters
)

# Our subclass replaces kedro-mlflow's hook; its name in the list of plugins is that of the distribution, underscored.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro_mlflow", "kedro-mlflow")

CONFIG_LOADER_CLASS = PlannedConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # Kedro's default replaces whole top-level keys: an environment that sets one nested value would drop its siblings.
    "merge_strategy": {"parameters": "soft", "mlflow": "soft", "catalog": "soft"},
    "custom_resolvers": {
        "tracking_uri": tracking_uri,
        "artifact_location": artifact_location,
        "product": lambda *factors: math.prod(factors),
        "quotient": lambda dividend, divisor: dividend // divisor,
    },
}
