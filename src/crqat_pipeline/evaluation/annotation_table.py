"""Ground truth as NumPy columns, with the federated rules of LVIS as (image, category) pairs.

Shape letters: I images, K categories, G objects, P pairs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from crqat_pipeline.evaluation.detection_table import FloatArray, IntArray
from crqat_pipeline.evaluation.input_error import EvaluationInputError, Fault, fault
from crqat_pipeline.evaluation.official_set import set_name


@dataclass(frozen=True)
class AnnotationTable:
    """What an evaluation needs of an annotation file; ids are those of the file.

    image_ids_I, category_ids_K: ascending. category_names: one per category. frequencies: "r", "c", "f" per
    category, empty for a file that is not federated. boxes_xywh_G4 in pixels, areas_G in square pixels.
    negatives_P2, not_exhaustive_P2: (image id, category id) pairs. dataset: the name of the set.
    """

    image_ids_I: IntArray
    category_ids_K: IntArray
    category_names: tuple[str, ...]
    frequencies: tuple[str, ...]
    object_image_ids_G: IntArray
    object_category_ids_G: IntArray
    boxes_xywh_G4: FloatArray
    areas_G: FloatArray
    is_crowd_G: IntArray
    is_ignored_G: IntArray
    negatives_P2: IntArray
    not_exhaustive_P2: IntArray
    dataset: str

    @property
    def is_federated(self) -> bool:
        return bool(self.frequencies)

    def pair_keys(self, image_ids: IntArray, category_ids: IntArray) -> IntArray:
        """One integer per (image, category) pair; both ids must be of this file."""
        image_index = np.searchsorted(self.image_ids_I, image_ids)
        category_index = np.searchsorted(self.category_ids_K, category_ids)
        return image_index * len(self.category_ids_K) + category_index


def is_federated_file(ground_truth: Mapping[str, Any]) -> bool:
    """Whether any image lists negative categories, as LVIS files do."""
    return any("neg_category_ids" in image for image in ground_truth.get("images", ()))


def _pairs(ground_truth: Mapping[str, Any], key: str, federated: bool) -> IntArray:
    images = ground_truth["images"] if federated else ()
    known = {one["id"] for one in ground_truth["categories"]}
    pairs = [(image["id"], one) for image in images for one in image.get(key, ()) if one in known]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _is_measured(annotation: Mapping[str, Any]) -> bool:
    """Finite numbers in bbox and area; width, height and area not below 0."""
    numbers = (*annotation["bbox"], annotation["area"])
    return all(isinstance(one, Real) and math.isfinite(one) for one in numbers) and min(numbers[2:]) >= 0


def _faults(ground_truth: Mapping[str, Any], federated: bool) -> list[Fault]:
    images, categories = ground_truth["images"], ground_truth["categories"]
    objects = ground_truth["annotations"]
    image_ids, category_ids = {image["id"] for image in images}, {one["id"] for one in categories}
    needed = ("image_id", "category_id", "bbox", "area")
    incomplete = [
        f"annotation {a.get('id')}" for a in objects if any(key not in a for key in needed) or len(a["bbox"]) != 4
    ]
    found = [
        fault(
            "Ids of images and categories must be integers.",
            [i for i in image_ids | category_ids if type(i) is not int],
        ),
        fault(f"An annotation needs {', '.join(needed)}, with four numbers in bbox.", incomplete),
    ]
    if not incomplete:
        improper = [f"annotation {a.get('id')} with bbox {a['bbox']}, area {a['area']}" for a in objects
                    if not _is_measured(a)]  # fmt: skip
        found.append(fault("Boxes and areas must be finite numbers, width, height and area not below 0.", improper))
        lost_images = [f"annotation {a.get('id')} on image {a['image_id']}" for a in objects
                       if a["image_id"] not in image_ids]  # fmt: skip
        lost_kinds = [f"annotation {a.get('id')} of category {a['category_id']}" for a in objects
                      if a["category_id"] not in category_ids]  # fmt: skip
        found.append(fault("Annotations must belong to images of the file.", lost_images))
        found.append(fault("Annotations must belong to categories of the file.", lost_kinds))
    doubles = [len(images) - len(image_ids), len(categories) - len(category_ids)]
    found.append(Fault("Image ids and category ids must be unique.", sum(doubles)))
    if federated:
        unfrequent = [f"category {one['id']}" for one in categories if one.get("frequency") not in ("r", "c", "f")]
        found.append(fault("Categories need a frequency r, c or f for LVIS protocols.", unfrequent))
        unlisted = [
            f"image {image['id']}"
            for image in images
            if not {"neg_category_ids", "not_exhaustive_category_ids"} <= image.keys()
        ]
        found.append(fault("Images need neg_category_ids and not_exhaustive_category_ids for LVIS.", unlisted))
    return [one for one in found if one.count]


def read_annotations(ground_truth: Mapping[str, Any], *, federated: bool) -> AnnotationTable:
    """Columns of a COCO or LVIS annotation dict; the dict is not changed.

    For a federated file, objects without area are left out, as the lvis library does.
    Raises EvaluationInputError that lists every fault with its count and first offenders.
    """
    absent = [key for key in ("images", "annotations", "categories") if key not in ground_truth]
    if absent:
        raise EvaluationInputError("The ground truth", [fault("An annotation file needs this list.", absent)])
    faults = _faults(ground_truth, federated)
    if faults:
        raise EvaluationInputError("The ground truth", faults)
    objects = [one for one in ground_truth["annotations"] if not federated or one["area"] > 0]
    categories = sorted(ground_truth["categories"], key=lambda one: int(one["id"]))
    return AnnotationTable(
        image_ids_I=np.array(sorted(image["id"] for image in ground_truth["images"]), np.int64),
        category_ids_K=np.array([one["id"] for one in categories], np.int64),
        category_names=tuple(str(one.get("name", one["id"])) for one in categories),
        frequencies=tuple(one["frequency"] for one in categories) if federated else (),
        object_image_ids_G=np.array([one["image_id"] for one in objects], np.int64),
        object_category_ids_G=np.array([one["category_id"] for one in objects], np.int64),
        boxes_xywh_G4=np.array([one["bbox"] for one in objects], np.float64).reshape(-1, 4),
        areas_G=np.array([one["area"] for one in objects], np.float64),
        is_crowd_G=np.array([int(one.get("iscrowd", 0)) for one in objects], np.int64),
        is_ignored_G=np.array([int(one.get("ignore", 0)) for one in objects], np.int64),
        negatives_P2=_pairs(ground_truth, "neg_category_ids", federated),
        not_exhaustive_P2=_pairs(ground_truth, "not_exhaustive_category_ids", federated),
        dataset=set_name(ground_truth),
    )
