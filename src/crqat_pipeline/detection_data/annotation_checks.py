"""Everything that can be wrong with annotations and their images, found before training starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal

import numpy as np

from crqat_pipeline.detection_data.annotation_faults import AnnotationError, Fault
from crqat_pipeline.detection_data.annotation_file import AnnotationFile, image_file_name, is_federated
from crqat_pipeline.detection_data.annotation_records import ReadingRules, read_records
from crqat_pipeline.detection_data.annotation_schema import SECTIONS
from crqat_pipeline.detection_data.box_columns import BLOCK, BoxColumns, integers
from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.image_reading import ImageError
from crqat_pipeline.runtime.progress import progress

Record = Mapping[str, Any]
Role = Literal["training", "validation", "lvis", "any"]
"""What a file is for. lvis: scored by LVIS rules. validation: scored by COCO rules. any: nothing is asked beyond."""

DECODING_THREADS = 2


@dataclass(frozen=True)
class AnnotationSummary:
    """Counts of annotations that passed every check."""

    num_images: int
    num_images_without_boxes: int
    num_boxes: int
    num_crowd_boxes: int
    num_categories: int
    num_categories_with_boxes: int

    def __str__(self) -> str:
        return (
            f"{self.num_images} images ({self.num_images_without_boxes} without boxes), {self.num_boxes} boxes "
            f"({self.num_crowd_boxes} crowd), {self.num_categories_with_boxes} of {self.num_categories} "
            "categories occur"
        )


@dataclass(frozen=True)
class Examined:
    """What one file holds, what is wrong with it, and what was repaired or left out (reason -> count and first)."""

    summary: AnnotationSummary
    faults: tuple[Fault, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)


def examine(annotations: Record, images: ImageFolder, role: Role = "any", *, decode_images: bool = True) -> Examined:
    """Look at every record and every image file; nothing is raised.

    decode_images also decodes every file and finds truncated ones and wrong sizes (off: names only).
    """
    records = annotations.records if isinstance(annotations, AnnotationFile) else read_records(annotations)
    content = records.content
    image_records, boxes, categories = (_sound(_rows(content, name)) for name in SECTIONS)
    faults = [*records.faults, *_repeated_boxes(boxes), *_role_faults(content, boxes, role)]
    faults += _image_faults(image_records, images, decode_images)
    with_boxes = set(integers(boxes, "image_id").tolist())
    summary = AnnotationSummary(
        num_images=len(image_records),
        num_images_without_boxes=len({image["id"] for image in image_records} - with_boxes),
        num_boxes=len(boxes),
        num_crowd_boxes=int(integers(boxes, "iscrowd", 0).sum()),
        num_categories=len(categories),
        num_categories_with_boxes=len(np.unique(integers(boxes, "category_id"))),
    )
    return Examined(summary, tuple(faults), records.left_out)


def check_annotations(
    annotations: Record,
    images: ImageFolder,
    *,
    federated: bool,
    decode_images: bool = True,
    rules: ReadingRules | None = None,
) -> AnnotationSummary:
    """Check a COCO or LVIS dictionary and its images; raises AnnotationError with all faults together.

    Found are: malformed records, empty lists, ids that occur twice, names of two categories, boxes of unknown images or
    categories, more faulty boxes than may be left out (see FaultyBoxSpec), image names that leave the folder, missing
    files. federated: each image needs the two lists of categories and each category a frequency, as in LVIS.
    """
    given = annotations if isinstance(annotations, AnnotationFile) else AnnotationFile(annotations, rules=rules)
    examined = examine(given, images, "lvis" if federated else "any", decode_images=decode_images)
    if examined.faults:
        raise AnnotationError(examined.faults)
    return examined.summary


def _rows(content: Record, section: str) -> Sequence[Any]:
    rows = content.get(section)
    return rows if isinstance(rows, list | BoxColumns) else ()


def _sound(rows: Sequence[Any]) -> Sequence[Any]:
    return rows if isinstance(rows, BoxColumns) else [one for one in rows if isinstance(one, Mapping)]


def _repeated_boxes(boxes: Sequence[Record]) -> Iterator[Fault]:
    """In the order in which the ids first occur."""
    ids, firsts, counts = np.unique(integers(boxes, "id"), return_index=True, return_counts=True)
    repeated = np.flatnonzero(counts > 1)
    for one in repeated[np.argsort(firsts[repeated])].tolist():
        yield Fault("duplicate id", f"annotation id {ids[one]} occurs {counts[one]} times; ids must be unique")


def _role_faults(content: Record, boxes: Sequence[Record], role: Role) -> Iterator[Fault]:
    if role == "lvis":
        yield from _federated_faults(content, boxes)
    elif role == "validation" and is_federated(content):
        text = "images list negative categories: an LVIS file, where a COCO file is wanted. Name it as the LVIS file"
        yield Fault("federated", text)
    elif role == "training" and boxes and all(box.get("iscrowd", 0) for box in boxes):
        yield Fault(
            "crowds only",
            f"all {len(boxes)} boxes are crowds (iscrowd 1), which are left out of training. Where they are single "
            "objects with RLE masks, write iscrowd 0",
        )
    elif role == "training" and not boxes and isinstance(content.get("annotations"), list | BoxColumns):
        yield Fault("no box", "no box can be trained on: 'annotations' has none that is sound")


def _federated_faults(content: Record, boxes: Sequence[Record]) -> Iterator[Fault]:
    images, categories = _rows(content, "images"), _rows(content, "categories")
    if images and not is_federated(content):
        yield Fault(
            "not federated",
            "no image has 'neg_category_ids': a COCO file, where an LVIS file is wanted. An LVIS file lists for every "
            "image the categories looked for and not found (neg_category_ids) and those not marked throughout "
            "(not_exhaustive_category_ids), and for every category its frequency (r, c or f)",
        )
        return
    known = {category["id"] for category in categories}
    for category in categories:
        if category.get("frequency") not in ("r", "c", "f"):
            yield Fault("no frequency", f"category {category['id']} has no 'frequency' (one of r, c, f)")
    present: dict[int, set[int]] = {}
    for box in boxes:
        present.setdefault(box["image_id"], set()).add(box["category_id"])
    for image in images:
        for key in ("neg_category_ids", "not_exhaustive_category_ids"):
            if key not in image:
                yield Fault("not federated", f"image {image['id']} has no '{key}', as LVIS requires")
        negative = set(image.get("neg_category_ids", ()))
        for number in sorted((negative | set(image.get("not_exhaustive_category_ids", ()))) - known):
            yield Fault("unknown category", f"image {image['id']} lists category {number}, not in 'categories'")
        for number in sorted(negative & present.get(image["id"], set())):
            yield Fault("contradiction", f"image {image['id']} has boxes of category {number}, but lists it as absent")


def _image_fault(image: Record, folder: ImageFolder, decode_images: bool) -> Fault | None:
    if "file_name" not in image and "coco_url" not in image:
        return Fault("image file", f"image {image['id']} has neither 'file_name' nor 'coco_url'")
    name = image_file_name(image)
    try:
        if not decode_images:
            if folder.locate(name).is_file():
                return None
            return Fault("image file", f"image {image['id']}: file {name!r} does not exist in {folder.root}")
        opened = folder.open(name)
    except ImageError as error:
        return Fault("image file", f"image {image['id']}: {error}")
    annotated = image["width"], image["height"]
    if opened.size == annotated:
        return None
    text = (
        f"image {image['id']}: file {name!r} has {opened.width}×{opened.height} pixels, annotated are "
        f"{annotated[0]}×{annotated[1]}"
    )
    if opened.size == annotated[::-1]:
        hint = folder.orientation_hint(name)
        text += f". {hint}" if hint else ""
    return Fault("image size", text)


def _image_faults(images: Sequence[Record], folder: ImageFolder, decode_images: bool) -> Iterator[Fault]:
    with ThreadPoolExecutor(DECODING_THREADS) as pool:  # in blocks: a pool keeps a record of all that it is given
        blocks = (images[first : first + BLOCK] for first in range(0, len(images), BLOCK))
        results = (pool.map(lambda image: _image_fault(image, folder, decode_images), block) for block in blocks)
        yield from filter(None, progress(chain.from_iterable(results), "checking images", len(images), "img"))
