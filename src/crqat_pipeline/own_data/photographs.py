"""The photographs and their boxes: read in any layout, joined, split, checked as the run itself checks them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crqat_pipeline.detection_data.annotation_faults import AnnotationError
from crqat_pipeline.detection_data.annotation_file import AnnotationFile
from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.layouts import read_annotations
from crqat_pipeline.detection_data.layouts.table import is_coco
from crqat_pipeline.detection_data.stratified_split import stratified_split
from crqat_pipeline.own_data.categories import joined
from crqat_pipeline.own_data.request import OwnDataRequest
from crqat_pipeline.recipes.data import check_data
from crqat_pipeline.recipes.specs import FetchDataSpec

FEW_BOXES = 10
SMALL_SHARE = 0.1
"""Of the objects: their side is what decides the size of the input."""


@dataclass(frozen=True)
class Photographs:
    """train, val: sound annotations. given: file of a split that is read where it lies; the others have to be written.

    lvis: the LVIS-format file, if any. notes: what was found, a line each.
    """

    train: Mapping[str, Any]
    val: Mapping[str, Any]
    train_images: Path
    val_images: Path
    given: Mapping[str, Path] = field(default_factory=dict)
    lvis: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the categories: the prompts."""
        return tuple(str(one["name"]) for one in self.val["categories"])

    def object_side(self) -> float:
        """Side of the tenth part of the training objects that are smallest, as a share of their image's longer side."""
        sizes = {one["id"]: max(one["width"], one["height"]) for one in self.train["images"]}
        sides = [
            (box["bbox"][2] * box["bbox"][3]) ** 0.5 / sizes[box["image_id"]]
            for box in self.train["annotations"]
            if not box.get("iscrowd", 0)
        ]
        return float(np.quantile(sides, SMALL_SHARE)) if sides else 1.0


def look(request: OwnDataRequest) -> Photographs:
    """Raises AnnotationError with all faults of the records, or of the images, by file; ValueError for what cannot be
    read or split.
    """
    folders = ImageFolder(request.images), ImageFolder(request.val_images or request.images)
    files = {"train": _read(request.annotations, folders[0])}
    if request.val is not None:
        files["val"] = _read(request.val, folders[1])
    faults = [fault.of(f"{name} ({file.source})") for name, file in files.items() for fault in file.faults]
    if faults:
        raise AnnotationError(faults)
    notes = [
        f"{name}: {reason}: {which}" for name, file in files.items() for reason, which in file.records.left_out.items()
    ]
    train: Mapping[str, Any] = files["train"].records.content
    given = {"train": request.annotations} if is_coco(request.annotations) else {}
    if request.val is None:
        train, val = stratified_split(train, request.val_share, request.seed)
        given = {}
        notes.append(
            f"split by class with seed {request.seed}: {len(train['images'])} photographs to train on, "
            f"{len(val['images'])} to look at"
        )
    else:
        given |= {"val": request.val} if is_coco(request.val) else {}
        train, other, is_changed = joined(train, files["val"].records.content)
        val = dict(other)
        if is_changed:
            given = {}
            notes.append("categories of the two files were joined by name")
    found = Photographs(train, val, folders[0].root, folders[1].root, given, request.lvis)
    report = _checked(found, folders)
    sizes = Counter((one["width"], one["height"]) for one in train["images"])
    (width, height), _ = sizes.most_common(1)[0]
    counts = Counter(box["category_id"] for box in train["annotations"] if not box.get("iscrowd", 0))
    names = {one["id"]: one["name"] for one in train["categories"]}
    rare = [f"{names[number]} {counts[number]}" for number in names if counts[number] < FEW_BOXES]
    notes = [*(f"{split}: {one}" for split, one in report.items()), *notes]
    notes.append(f"photographs of {len(sizes)} sizes, most often {width} × {height} px")
    notes.append(f"nine of ten objects are at least {found.object_side():.1%} of the photograph's longer side")
    if rare:
        more = f" and {len(rare) - 8} more" if len(rare) > 8 else ""
        notes.append(f"{len(rare)} classes have under {FEW_BOXES} boxes to train on: {', '.join(rare[:8])}{more}")
    return Photographs(train, val, folders[0].root, folders[1].root, given, request.lvis, tuple(notes))


def _read(path: Path, images: ImageFolder) -> AnnotationFile:
    return AnnotationFile(read_annotations(path, images), str(path))


def _checked(found: Photographs, folders: tuple[ImageFolder, ImageFolder]) -> dict[str, str]:
    """Every check of fetch_data, the LVIS file's among them; split -> what it holds."""
    splits: dict[str, tuple[Mapping[str, Any], ImageFolder]] = {
        "train": (found.train, folders[0]),
        "val": (found.val, folders[1]),
    }
    if found.lvis is not None:
        splits["val_lvis"] = (_read(found.lvis, folders[1]), folders[1])
    report = check_data(splits, FetchDataSpec(source="files"))
    return {
        name: f"{one['num_images']} photographs ({one['num_images_without_boxes']} without boxes), "
        f"{one['num_boxes']} boxes of {one['num_categories_with_boxes']} classes"
        for name, one in report.items()
        if name in splits
    }
