"""Several sources as one annotation dictionary: ids made unique, each category with the source it belongs to."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from crqat_pipeline.detection_data.annotation_faults import AnnotationError, Fault
from crqat_pipeline.detection_data.annotation_schema import LARGEST_ID
from crqat_pipeline.detection_data.box_columns import BoxColumns
from crqat_pipeline.detection_data.sources.spec import SourceSpec
from crqat_pipeline.detection_data.sources.table import read_source

logger = logging.getLogger(__name__)


class SourceMixture(Mapping[str, Any]):
    """images, annotations (columns) and categories of all sources, read when they are first asked for.

    info.sources holds per source the counts and what was left out. Image names begin with the source's name, as
    SourceFolders expects; a category's `scope` is its source.
    """

    def __init__(self, sources: Mapping[str, SourceSpec]) -> None:
        """Raises ValueError without a source, or for a name with a slash."""
        wrong = [name for name in sources if not name or "/" in name]
        if not sources or wrong:
            raise ValueError(f"Sources need names without a slash, at least one; got {wrong or 'no source'}.")
        self.sources = dict(sources)
        self._content: dict[str, Any] | None = None

    @property
    def is_read(self) -> bool:
        """Whether the files have been read, and were good."""
        return self._content is not None

    def __getitem__(self, key: str) -> Any:
        return self._read()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def _read(self) -> dict[str, Any]:
        if self._content is None:
            self._content = _mixed(self.sources)
        return self._content


def _mixed(sources: Mapping[str, SourceSpec]) -> dict[str, Any]:
    """One source behind the other; ids are moved behind those of the sources before. Raises what read_source raises."""
    images: list[Any] = []
    categories: list[Any] = []
    boxes: BoxColumns | None = None
    facts: dict[str, Any] = {}
    past = {"image": 0, "annotation": 0, "category": 0}
    for name, spec in sources.items():
        part = read_source(name, spec)
        own = part.columns
        box_ids = own.integers("id")
        facts[name] = {"images": len(part.images), "boxes": len(own), "categories": len(part.categories)}
        facts[name]["left_out"] = part.left_out
        last = {
            "image": max(image["id"] for image in part.images),
            "annotation": int(box_ids.max()),
            "category": max(category["id"] for category in part.categories),
        }
        _check_room(name, past, last)
        for image in part.images:
            image["id"] += past["image"]
            image["file_name"] = f"{name}/{image['file_name']}"
        for category in part.categories:
            category["id"] += past["category"]
            category["scope"] = name
        moved = {"id": past["annotation"], "image_id": past["image"], "category_id": past["category"]}
        if boxes is None:
            boxes = own
        else:
            boxes.extend(own, moved)
        images += part.images
        categories += part.categories
        past = {kind: past[kind] + number + 1 for kind, number in last.items()}
        for reason, which in part.left_out.items():
            logger.warning("%s: %s: %s", name, reason, which)
    return {"images": images, "annotations": boxes, "categories": categories, "info": {"sources": facts}}


def _check_room(name: str, past: Mapping[str, int], last: Mapping[str, int]) -> None:
    faults = [
        Fault(
            "large id",
            f"{name}: {kind} ids go up to {number}, and behind those of the sources before they must fit in 64 bits; "
            "number them from 0",
        )
        for kind, number in last.items()
        if past[kind] + number >= LARGEST_ID
    ]
    if faults:
        raise AnnotationError(faults)
