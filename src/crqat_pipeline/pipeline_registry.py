"""The pipelines by name: one folder each under pipelines/, all of them as crqat_full and __default__."""

from __future__ import annotations

from kedro.framework.project import find_pipelines
from kedro.pipeline import Pipeline

EVERYTHING = "crqat_full"


def register_pipelines() -> dict[str, Pipeline]:
    """Kedro imports only the folders that a command asks for; without a name, all of them."""
    pipelines: dict[str, Pipeline] = find_pipelines(raise_errors=True)
    if EVERYTHING in pipelines:
        pipelines["__default__"] = pipelines[EVERYTHING]
    return pipelines
