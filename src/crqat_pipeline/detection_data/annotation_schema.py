"""The records of COCO and LVIS annotation files, in the one spelling that everything behind the reader relies on."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, FiniteFloat, TypeAdapter
from typing_extensions import TypedDict

SECTIONS = ("images", "annotations", "categories")
LARGEST_ID = 2**63 - 1
LARGEST_SIDE_PX = 2**31 - 1

_STRICT = ConfigDict(strict=True)
Id = Annotated[int, Field(ge=-LARGEST_ID - 1, le=LARGEST_ID)]
CountedId = Annotated[int, Field(ge=0, le=LARGEST_ID)]
Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE_PX)]
Flag = Annotated[int, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[^\s\x00](.*[^\s])?$")]
FileName = Annotated[str, Field(pattern=r"^[^\\\x00]+$")]


class ImageRecord(TypedDict):
    """LVIS writes coco_url instead of file_name, and the two lists of federated labels."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    id: Id
    width: Side
    height: Side
    file_name: NotRequired[FileName]
    coco_url: NotRequired[str]
    neg_category_ids: NotRequired[list[Id]]
    not_exhaustive_category_ids: NotRequired[list[Id]]


class BoxRecord(TypedDict):
    """bbox: left, top, width, height in pixels. area: of the mask, or of the box, in square pixels."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    id: Id
    image_id: Id
    category_id: Id
    bbox: Annotated[list[FiniteFloat], Field(min_length=4, max_length=4)]
    area: Annotated[FiniteFloat, Field(ge=0)]
    iscrowd: NotRequired[Flag]
    ignore: NotRequired[Flag]


class CategoryRecord(TypedDict):
    """LVIS adds synonyms and frequency; the embedded benchmark adds the vocabulary splits it is in; several sources in
    one add the source (scope), and mark the phrases of captions.
    """

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    id: CountedId
    name: Name
    synonyms: NotRequired[list[Name]]
    frequency: NotRequired[Annotated[str, Field(pattern="^[rcf]$")]]
    splits: NotRequired[list[Name]]
    scope: NotRequired[str]
    is_phrase: NotRequired[bool]


RECORDS: Mapping[str, TypeAdapter[Any]] = MappingProxyType(
    {
        "images": TypeAdapter(list[ImageRecord]),
        "annotations": TypeAdapter(list[BoxRecord]),
        "categories": TypeAdapter(list[CategoryRecord]),
    }
)
"""Section -> what all its records are once they have been read."""
