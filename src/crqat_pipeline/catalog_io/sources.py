"""Training data of several published sets, each in its own layout, at places that the user names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset, DatasetError

from crqat_pipeline.catalog_io.given import GIVEN

if TYPE_CHECKING:
    from crqat_pipeline.detection_data.sources import SourceFolders, SourceMixture, SourceSpec


class _Sources(AbstractDataset[str, Any]):
    """sources: name -> fields of SourceSpec. Always given: read, never written; saving GIVEN checks the paths."""

    given = True

    def __init__(
        self,
        *,
        sources: Mapping[str, Mapping[str, Any]],
        filepath: None = None,
        given: bool = True,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """filepath: null in the catalog, in place of conf/base's. Raises DatasetError for fields that do not fit."""
        if filepath is not None or not given:
            raise DatasetError(f"Sources are given and lie at several paths; set filepath: null (got {filepath!r}).")
        self._raw = {name: dict(fields) for name, fields in sources.items()}
        self.metadata = metadata

    @property
    def sources(self) -> dict[str, SourceSpec]:
        from pydantic import ValidationError

        from crqat_pipeline.detection_data.sources import SourceSpec
        from crqat_pipeline.runtime.validation_text import faults_text

        try:
            return {name: SourceSpec.model_validate(fields) for name, fields in self._raw.items()}
        except ValidationError as error:
            raise DatasetError(f"The catalog describes a source wrongly: {faults_text(error)}.") from error

    @property
    def paths(self) -> dict[str, Path]:
        """Source -> what this entry reads of it."""
        raise NotImplementedError

    def missing(self) -> list[str]:
        """One line per path that is not there."""
        return [f"nothing at {path} ({name})" for name, path in self.paths.items() if not path.exists()]

    def save(self, data: str) -> None:
        if data != GIVEN:
            raise DatasetError("Sources are given, so they are read and never written; point the entry elsewhere.")
        if self.missing():
            raise DatasetError(f"Given inputs must exist; {'; '.join(self.missing())}. Check the paths.")

    def _exists(self) -> bool:
        return not self.missing()

    def _describe(self) -> dict[str, Any]:
        return {"sources": {name: str(path) for name, path in self.paths.items()}}


class SourceAnnotationsDataset(_Sources):
    """load() gives a SourceMixture, which reads its files when they are first asked for."""

    @property
    def paths(self) -> dict[str, Path]:
        return {name: spec.annotations for name, spec in self.sources.items()}

    def load(self) -> SourceMixture:
        from crqat_pipeline.detection_data.sources import SourceMixture

        return SourceMixture(self.sources)


class SourceImagesDataset(_Sources):
    """load() gives a SourceFolders."""

    @property
    def paths(self) -> dict[str, Path]:
        return {name: spec.images for name, spec in self.sources.items()}

    def load(self) -> SourceFolders:
        from crqat_pipeline.detection_data.sources import SourceFolders

        return SourceFolders(self.paths)
