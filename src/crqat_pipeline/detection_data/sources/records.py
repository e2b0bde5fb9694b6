"""The records of one source, and what of them is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crqat_pipeline.detection_data.annotation_faults import AnnotationError, Fault
from crqat_pipeline.detection_data.box_columns import BoxColumns, Boxes
from crqat_pipeline.detection_data.sources.source_files import SourceFiles

Record = dict[str, Any]

SHOWN = 3


@dataclass
class SourceRecords:
    """One source in COCO's records; ids are those of its file. left_out: reason -> first offenders and count."""

    images: list[Record]
    annotations: Boxes
    categories: list[Record]
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> BoxColumns:
        """The annotations as columns."""
        return self.annotations if isinstance(self.annotations, BoxColumns) else BoxColumns(self.annotations)


def check_count(categories: Sequence[Record], expected: int | None, files: SourceFiles, source: str) -> None:
    """Raises AnnotationError if the file is not the vocabulary that it should be."""
    wanted = files.num_categories or expected
    if wanted is not None and len(categories) != wanted:
        text = (
            f"{source}: layout {files.layout} has {wanted} categories; {files.annotations.name} has {len(categories)}"
        )
        raise AnnotationError([Fault("category count", f"{text}. Give the full file, or set num_categories")])


def without_images(records: SourceRecords, name_ends: Sequence[str]) -> None:
    """Drop images whose names end so, with their boxes; they are counted in left_out."""
    ends = tuple(f"/{end}" for end in name_ends)
    gone = {image["id"]: image["file_name"] for image in records.images if f"/{image['file_name']}".endswith(ends)}
    if ends and gone:
        boxes = records.columns
        stays_M = ~np.isin(boxes.integers("image_id"), [*gone])
        records.images = [image for image in records.images if image["id"] not in gone]
        records.annotations = boxes.take(np.flatnonzero(stays_M))
        records.left_out["images known to be missing"] = counted(list(gone.values()))


def counted(items: Sequence[str]) -> str:
    """How many, and the first of them."""
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return f"{len(items)} ({'; '.join(items[:SHOWN])}{more})"
