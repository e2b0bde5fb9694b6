"""Raw inputs that are either made by the pipeline or given by the user, who keeps them: read, never written."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypeVar

from kedro.io import DatasetError

from crqat_pipeline.catalog_io.local_file import LocalFile

GIVEN: Final = "given"
"""What a node returns for an entry with `given: true` instead of data."""

Saved = TypeVar("Saved")
Loaded = TypeVar("Loaded")


class GivenOrMade(LocalFile[Saved, Loaded]):
    """`given: true` makes it the user's own file: saving GIVEN checks that it exists, saving data is refused.

    filepath may be null for a given entry that nobody has named yet; using it then raises DatasetError. With
    `optional: true` it is then absent: nothing is missed, and whoever loads it gets None.
    """

    def __init__(
        self,
        *,
        filepath: str | None,
        given: bool = False,
        optional: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(filepath=filepath or "", metadata=metadata)
        if optional and not given:
            raise DatasetError("optional: true is for a given entry; add given: true, or leave it out.")
        self.given = given
        self.is_named = bool(filepath)
        self.is_absent = optional and not self.is_named

    def missing(self) -> list[str]:
        """What keeps a given entry from being read, one line each."""
        if self.is_absent:
            return []
        if not self.is_named:
            return ["not named"]
        return [] if self.exists() else [f"nothing at {self.path}"]

    def existing_path(self) -> Path:
        if not self.is_named:
            raise DatasetError(
                "This input has to be given and was not. Name it on the command line: --params <entry>=<path>."
            )
        if self.given and not self.path.exists():
            raise DatasetError(f"A given input must exist; there is nothing at {self.path}. Check the path.")
        return super().existing_path()

    def save(self, data: Saved | str) -> None:
        is_marker = isinstance(data, str) and data == GIVEN
        if self.given != is_marker:
            raise DatasetError(
                f"{self.path} is marked given: true, so it is read and never written; remove the mark to make it."
                if self.given
                else f"{self.path} is not marked given: true in the catalog, so it needs data, not the mark GIVEN."
            )
        if self.is_absent:
            return
        if self.given:
            self.existing_path()
        else:
            self.write(data)  # type: ignore[arg-type]

    def write(self, data: Saved) -> None:
        """Write what the pipeline made."""
        raise NotImplementedError

    def _exists(self) -> bool:
        return self.is_named and super()._exists()

    def _describe(self) -> dict[str, Any]:
        return super()._describe() | {"given": self.given}
