"""The list of published files: names, public addresses, sizes and digests; and what is made of some of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from crqat_pipeline.runtime.bounded_json import parse_json
from crqat_pipeline.runtime.validation_text import faults_text

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PublishedFile(NamedTuple):
    """path: below the folder. address: below the base of its set. sha256: of the content."""

    path: str
    address: str
    num_bytes: int
    sha256: Digest


class PublishedSet(_Section):
    """Files of one origin under one licence."""

    what: str
    licence: str = Field(description="In one sentence, with whom it is from")
    base: str = Field(pattern=r"^https?://\S+/$", description="Beginning of every address")
    files: tuple[PublishedFile, ...] = Field(min_length=1)


class CocoCut(_Section):
    """COCO annotations of the photographs of one set, out of the published archive."""

    make: Literal["coco_cut"]
    path: str
    archive: str
    member: str
    photographs: str = Field(description="`what` of the set of images")

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.archive,)


class LvisCategories(_Section):
    """Ids, names, synsets, frequencies and synonyms of the LVIS categories, without their counts."""

    make: Literal["lvis_categories"]
    path: str
    source: str
    sha256: Digest

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,)


class LvisBoxes(_Section):
    """Boxes of a COCO cut under LVIS names, for the images below one folder; their names then begin there."""

    make: Literal["lvis_boxes"]
    path: str
    annotations: str
    categories: str
    below: str

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.annotations, self.categories)


Made = Annotated[CocoCut | LvisCategories | LvisBoxes, Field(discriminator="make")]


class PublishedFiles(_Section):
    """sets: what is fetched. made: what is made of it, in this order."""

    sets: tuple[PublishedSet, ...] = Field(min_length=1)
    made: tuple[Made, ...] = ()

    @model_validator(mode="after")
    def _paths_stay_in_the_folder(self) -> Self:
        paths = [*(file.path for _, file in self.all_files()), *(one.path for one in self.made)]
        for path in paths:
            parts = PurePosixPath(path)
            if parts.is_absolute() or ".." in parts.parts or not parts.name:
                raise ValueError(f"files lie below one folder; got the path {path!r}")
        if len(set(paths)) < len(paths):
            raise ValueError("every path is named once")
        known: set[str] = {file.path for _, file in self.all_files()}
        names = {one.what for one in self.sets}
        for one in self.made:
            if not set(one.sources) <= known or (isinstance(one, CocoCut) and one.photographs not in names):
                raise ValueError(f"{one.path} is made of files that stand before it in the list; got {one!r}")
            known.add(one.path)
        return self

    def all_files(self) -> Iterator[tuple[PublishedSet, PublishedFile]]:
        return ((one, file) for one in self.sets for file in one.files)

    def promises(self, path: Path, folder: Path) -> bool:
        """Whether fetching into `folder` puts something at this path, or below it."""
        root, wanted = folder.absolute(), path.absolute()
        ends = [root / file.path for _, file in self.all_files()] + [root / one.path for one in self.made]
        return any(wanted == end or wanted in end.parents for end in ends)


def read_file_list(path: Path) -> PublishedFiles:
    """Raises ValueError for a file that is no such list."""
    try:
        return PublishedFiles.model_validate(parse_json(path.read_bytes()))
    except OSError as error:
        raise ValueError(f"The list of published files {path} cannot be read ({error.strerror}).") from error
    except ValidationError as error:
        raise ValueError(f"{path} is no list of published files: {faults_text(error)}.") from error
    except ValueError as error:
        raise ValueError(f"{path} is no list of published files: {error}") from error
