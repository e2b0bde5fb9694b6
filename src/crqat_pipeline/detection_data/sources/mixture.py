"""Several sources as one annotation dictionary: ids made unique, each category with the source it belongs to."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from crqat_pipeline.detection_data.sources.records import SourceRecords
from crqat_pipeline.detection_data.sources.spec import SourceSpec
from crqat_pipeline.detection_data.sources.table import read_source

logger = logging.getLogger(__name__)


class SourceMixture(Mapping[str, Any]):
    """images, annotations and categories of all sources, read when they are first asked for.

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
            self._content = _mixed({name: read_source(name, spec) for name, spec in self.sources.items()})
        return self._content


def _mixed(parts: Mapping[str, SourceRecords]) -> dict[str, Any]:
    """Concatenate; ids of a source are moved behind those of the sources before it. The records are changed."""
    mixed: dict[str, Any] = {"images": [], "annotations": [], "categories": [], "info": {"sources": {}}}
    past = {"image": 0, "annotation": 0, "category": 0}
    for name, part in parts.items():
        for image in part.images:
            image["id"] += past["image"]
            image["file_name"] = f"{name}/{image['file_name']}"
        for category in part.categories:
            category["id"] += past["category"]
            category["scope"] = name
        for box in part.annotations:
            box["id"] += past["annotation"]
            box["image_id"] += past["image"]
            box["category_id"] += past["category"]
        for kind, rows in (("image", part.images), ("annotation", part.annotations), ("category", part.categories)):
            past[kind] = max(row["id"] for row in rows) + 1
        facts = {"images": len(part.images), "boxes": len(part.annotations), "categories": len(part.categories)}
        mixed["info"]["sources"][name] = {**facts, "left_out": part.left_out}
        for reason, which in part.left_out.items():
            logger.warning("%s: %s: %s", name, reason, which)
        mixed["images"] += part.images
        mixed["annotations"] += part.annotations
        mixed["categories"] += part.categories
    return mixed
