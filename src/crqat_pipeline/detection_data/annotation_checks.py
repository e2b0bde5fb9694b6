"""Everything that can be wrong with annotations, found before training starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from crqat_pipeline.detection_data.annotation_faults import AnnotationError, Fault
from crqat_pipeline.detection_data.annotation_file import RECORDS, SECTIONS, image_file_name
from crqat_pipeline.detection_data.image_folder import ImageFileError, ImageFolder
from crqat_pipeline.runtime.progress import progress

Record = Mapping[str, Any]

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


def _well_formed(annotations: Record, section: str, faults: list[Fault]) -> list[dict[str, Any]]:
    """The records of a section that have the required fields; the others become faults."""
    rows = annotations.get(section)
    if not isinstance(rows, list):
        faults.append(Fault("missing section", f"'{section}' must be a list; got {type(rows).__name__}"))
        return []
    try:
        return list(RECORDS[section].validate_python(rows))
    except ValidationError as error:
        broken: set[int] = set()
        for detail in error.errors(include_url=False):
            index, *path = detail["loc"]
            broken.add(int(index))
            where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
            text = f"{section}[{index}]{where}: {detail['msg'].lower()}; got {detail['input']!r:.80}"
            faults.append(Fault("malformed record", text))
        kept = [row for index, row in enumerate(rows) if index not in broken]
        return list(RECORDS[section].validate_python(kept))


def _id_faults(records: Sequence[Record], what: str) -> Iterator[Fault]:
    for number, count in Counter(record["id"] for record in records).items():
        if count > 1:
            yield Fault("duplicate id", f"{what} id {number} occurs {count} times; ids must be unique")


def _box_faults(
    boxes: Sequence[Record], images: Mapping[int, Record], categories: set[int], tolerance_px: float
) -> Iterator[Fault]:
    for box in boxes:
        name = f"annotation {box['id']}"
        image = images.get(box["image_id"])
        if image is None:
            yield Fault("unknown image", f"{name} is of image {box['image_id']}, which is not in 'images'")
        if box["category_id"] not in categories:
            yield Fault("unknown category", f"{name} is of category {box['category_id']}, which is not in 'categories'")
        left, top, width, height = box["bbox"]
        if width <= 0 or height <= 0:
            yield Fault("empty box", f"{name}: box {box['bbox']} must have a positive width and height")
        elif image is not None and (
            min(left, top) < -tolerance_px
            or left + width > image["width"] + tolerance_px
            or top + height > image["height"] + tolerance_px
        ):
            size = f"{image['width']}×{image['height']}"
            yield Fault("box outside image", f"{name}: box {box['bbox']} leaves image {image['id']} of {size} pixels")


def _federated_faults(
    images: Sequence[Record], boxes: Sequence[Record], categories: Sequence[Record]
) -> Iterator[Fault]:
    known = {category["id"] for category in categories}
    for category in categories:
        if "frequency" not in category:
            yield Fault("no frequency", f"category {category['id']} has no 'frequency' (one of r, c, f)")
    present: dict[int, set[int]] = {}
    for box in boxes:
        present.setdefault(box["image_id"], set()).add(box["category_id"])
    for image in images:
        if "neg_category_ids" not in image:
            yield Fault("not federated", f"image {image['id']} has no 'neg_category_ids', as LVIS requires")
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
        width, height = folder.open(name).size
    except ImageFileError as error:
        return Fault("image file", f"image {image['id']}: {error}")
    if (width, height) == (image["width"], image["height"]):
        return None
    return Fault(
        "image size",
        f"image {image['id']}: file {name!r} has {width}×{height} pixels, annotated are "
        f"{image['width']}×{image['height']}",
    )


def _image_faults(images: Sequence[Record], folder: ImageFolder, decode_images: bool) -> Iterator[Fault]:
    with ThreadPoolExecutor(DECODING_THREADS) as pool:
        results = pool.map(lambda image: _image_fault(image, folder, decode_images), images)
        yield from filter(None, progress(results, "checking images", len(images), "img"))


def check_annotations(
    annotations: Record,
    images: ImageFolder,
    *,
    federated: bool,
    decode_images: bool = True,
    tolerance_px: float = 1.0,
) -> AnnotationSummary:
    """Check a COCO or LVIS dictionary and its images; raises AnnotationError with all faults together.

    Found are: malformed records, empty lists, ids that occur twice, boxes of unknown images or categories, boxes
    without area or outside their image (by more than tolerance_px), image names that leave the folder, missing
    files. decode_images also decodes every file and finds truncated ones and wrong sizes (off: names only).
    federated: each image needs neg_category_ids and each category a frequency, as in LVIS.
    """
    faults: list[Fault] = []
    image_records, boxes, categories = (_well_formed(annotations, section, faults) for section in SECTIONS)
    for section, what in (("categories", "category"), ("images", "image")):
        if annotations.get(section) == []:
            faults.append(Fault("empty list", f"'{section}' is empty; at least one {what} is needed"))
    for records, what in ((image_records, "image"), (boxes, "annotation"), (categories, "category")):
        faults += _id_faults(records, what)
    known_images = {image["id"]: image for image in image_records}
    known_categories = {category["id"] for category in categories}
    faults += _box_faults(boxes, known_images, known_categories, tolerance_px)
    if federated:
        faults += _federated_faults(image_records, boxes, categories)
    faults += _image_faults(image_records, images, decode_images)
    if faults:
        raise AnnotationError(faults)
    return AnnotationSummary(
        num_images=len(image_records),
        num_images_without_boxes=len(known_images.keys() - {box["image_id"] for box in boxes}),
        num_boxes=len(boxes),
        num_crowd_boxes=sum(box.get("iscrowd", 0) for box in boxes),
        num_categories=len(categories),
        num_categories_with_boxes=len({box["category_id"] for box in boxes}),
    )
