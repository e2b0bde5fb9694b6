"""The records of COCO and LVIS annotation files, and reading them from JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, FiniteFloat, TypeAdapter
from typing_extensions import TypedDict

SECTIONS = ("images", "annotations", "categories")
_STRICT = ConfigDict(strict=True)


class ImageRecord(TypedDict):
    """LVIS writes coco_url instead of file_name, and the two lists of federated labels."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    id: int
    width: Annotated[int, Field(ge=1)]
    height: Annotated[int, Field(ge=1)]
    file_name: NotRequired[str]
    coco_url: NotRequired[str]
    neg_category_ids: NotRequired[list[int]]
    not_exhaustive_category_ids: NotRequired[list[int]]


class BoxRecord(TypedDict):
    """bbox: left, top, width, height in pixels."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    id: int
    image_id: int
    category_id: int
    bbox: Annotated[list[FiniteFloat], Field(min_length=4, max_length=4)]
    iscrowd: NotRequired[int]


class CategoryRecord(TypedDict):
    """LVIS adds synonyms and frequency; the embedded benchmark adds the vocabulary splits it is in; several sources in
    one add the source (scope), and mark the phrases of captions.
    """

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    id: int
    name: str
    synonyms: NotRequired[list[str]]
    frequency: NotRequired[Annotated[str, Field(pattern="^[rcf]$")]]
    splits: NotRequired[list[str]]
    scope: NotRequired[str]
    is_phrase: NotRequired[bool]


RECORDS: dict[str, TypeAdapter[Any]] = {
    "images": TypeAdapter(list[ImageRecord]),
    "annotations": TypeAdapter(list[BoxRecord]),
    "categories": TypeAdapter(list[CategoryRecord]),
}


def is_federated(annotations: Mapping[str, Any]) -> bool:
    """True for LVIS files: images list the categories that are verified absent."""
    return any("neg_category_ids" in image for image in annotations.get("images", ()))


def image_file_name(image: Mapping[str, Any]) -> str:
    """file_name; for COCO and LVIS the folder and name in coco_url ("val2017/000000000139.jpg"), since their files name
    images of several folders.
    """
    if "coco_url" not in image:
        return str(image["file_name"])
    in_folder = "/".join(str(image["coco_url"]).rsplit("/", 2)[1:])
    name = str(image.get("file_name", in_folder))
    return in_folder if in_folder.endswith(f"/{name}") else name


def read_json_annotations(path: str | Path) -> dict[str, Any]:
    """The dictionary of an annotation file. Raises ValueError if it is not JSON, or not COCO- or LVIS-like."""
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"Annotation file {path} does not exist. Check the path.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"Annotation file {path} is not JSON: it is not UTF-8 text ({error.reason}).") from error
    except json.JSONDecodeError as error:
        raise ValueError(
            f"Annotation file {path} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}. "
            "Give a COCO or LVIS annotation file."
        ) from error
    if not isinstance(content, dict):
        raise ValueError(
            f"Annotation file {path} must hold an object with {', '.join(SECTIONS)}; got {type(content).__name__}."
        )
    return content
