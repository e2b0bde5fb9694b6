"""Which detector a model file is of: a name of the table of detectors, and options of its builder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from crqat_pipeline.detectors.table import family_of


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
    package: str | None = Field(
        None, pattern=r"^[A-Za-z0-9_.-]{1,100}$", description="Distribution that brings it, if it is not this one"
    )

    @classmethod
    def of(cls, name: str, options: Mapping[str, Any]) -> DetectorRow:
        """The row as this program would record it. Raises ValueError for a detector that nobody here brings."""
        return cls(name=name, options=dict(options), package=family_of(name).package)

    def as_json(self) -> dict[str, Any]:
        """What a file holds: the package only where there is one, so that files of this package stay as they were."""
        return self.model_dump(mode="json", exclude=None if self.package else {"package"})
