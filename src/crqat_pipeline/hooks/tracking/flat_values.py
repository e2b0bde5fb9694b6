"""Nested parameters and metrics as flat names, the way MLflow stores them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

MAX_PARAMETER_CHARACTERS = 6000
"""MLflow's limit for one parameter value."""


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _leaves(value: Any, name: str, separator: str) -> Iterator[tuple[str, Any]]:
    value = _plain(value)
    if isinstance(value, Mapping) and (value or not name):
        for key, item in value.items():
            yield from _leaves(item, f"{name}{separator}{key}" if name else str(key), separator)
    else:
        yield name, value


def flat_parameters(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Dotted name -> text; specs are opened, long values cut to MLflow's limit."""
    return {name: str(value)[:MAX_PARAMETER_CHARACTERS] for name, value in _leaves(parameters, "", ".")}


def flat_metrics(metrics: Any) -> dict[str, float]:
    """Slashed name -> number for the numbers in a nested report; texts, truth values and lists are left out."""
    return {
        re.sub(r"[^\w./: -]", "_", name): float(value)
        for name, value in _leaves(metrics, "", "/")
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
