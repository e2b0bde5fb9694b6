"""The forms of the detector that are compared: a mapping in the parameters, in the order of the tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Role = Literal["teacher", "main", "gallery", "latency", "deliverable", "deployed", "groups"]
"""teacher: what distances are measured to. main: the student that the report is about. gallery: a column of pictures.
latency: its time is measured. deliverable: a file made of the main student, whose AP it must have. deployed: the form
whose time the report puts first. groups: AP with one group of its quantizers on at a time."""
LAYERS, GROUPS = "_layers", "_groups"
"""Ends of the entries with the diagnostics of a stage: every quantizer, groups of them."""
SINGLE: tuple[Role, ...] = ("teacher", "main", "deployed")


class FormSpec(BaseModel):
    """One row of the tables."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str = Field(min_length=1, description="What people read")
    checkpoint: str = Field(min_length=1, description="Entry of the catalog, or path of a model file")
    history: tuple[str, ...] = Field(default=(), description="Entries of the catalog with its loss curves")
    layers: str | None = Field(
        default=None, pattern=rf"\w{LAYERS}$", description="Entry of the catalog with the diagnostics of its quantizers"
    )
    roles: tuple[Role, ...] = Field(default=(), description="What it is beside a row of the tables")

    @field_validator("history", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else () if value is None else value

    @property
    def is_path(self) -> bool:
        """Whether `checkpoint` is a file of one's own."""
        return is_path(self.checkpoint)


def is_path(checkpoint: str) -> bool:
    """Names of catalog entries have neither slash nor dot."""
    return "/" in checkpoint or "." in checkpoint


class Forms:
    """The forms by name. Raises ValueError for forms that cannot be one comparison."""

    def __init__(self, specs: Mapping[str, FormSpec]) -> None:
        self.specs = dict(specs)
        for name in specs:
            if not name.isidentifier():
                raise ValueError(f"a form's name has letters, digits and _; got {name!r}. Put the rest into its label")
        labels = [spec.label for spec in specs.values()]
        if len(set(labels)) != len(labels):
            raise ValueError(f"forms have labels of their own, or nobody can tell them apart; got {labels}")
        for role in SINGLE:
            having = self.having(role)
            if len(having) > 1 or (not having and role != "deployed"):
                raise ValueError(
                    f"one form has the role {role!r}; got {', '.join(having) or 'none'} among {list(specs)}"
                )

    def having(self, role: Role) -> list[str]:
        """Names of the forms with this role."""
        return [name for name, spec in self.specs.items() if role in spec.roles]

    @property
    def labels(self) -> dict[str, str]:
        return {name: spec.label for name, spec in self.specs.items()}

    @property
    def teacher(self) -> str:
        return self.having("teacher")[0]

    @property
    def main(self) -> str:
        return self.having("main")[0]

    def deployed(self, measured: Collection[str]) -> str | None:
        """The deployed form, where it is among those that were measured."""
        return next((name for name in self.having("deployed") if name in measured), None)
