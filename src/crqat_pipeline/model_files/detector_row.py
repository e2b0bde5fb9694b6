"""Which detector a model file is of: a name of the table of detectors, and options of its builder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field


class NamesDetector(Protocol):
    """Whatever has a name and options; the parameters of a run do."""

    @property
    def name(self) -> str: ...

    @property
    def options(self) -> Mapping[str, Any]: ...


class DetectorRow(BaseModel):
    """As a file records it. A name is looked up and never imported: a file chooses among known detectors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$", description="Row of the table of detectors")
    options: dict[str, Any] = Field(description="Keyword arguments of its builder")
