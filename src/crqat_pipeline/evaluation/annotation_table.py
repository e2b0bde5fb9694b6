"""Ground truth as NumPy columns, with the federated rules of LVIS as (image, category) pairs.

Shape letters: I images, K categories, G objects, P pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from crqat_pipeline.evaluation.detection_table import FloatArray, IntArray
from crqat_pipeline.evaluation.ground_truth import scorable
from crqat_pipeline.evaluation.input_faults import EvaluationInputError, Fault, fault
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


def _pairs(ground_truth: Mapping[str, Any], key: str, federated: bool) -> IntArray:
    images = ground_truth["images"] if federated else ()
    known = {one["id"] for one in ground_truth["categories"]}
    pairs = [(image["id"], one) for image in images for one in image.get(key, ()) if one in known]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _federated_faults(ground_truth: Mapping[str, Any]) -> list[Fault]:
    images, categories = ground_truth["images"], ground_truth["categories"]
    unfrequent = [f"category {one['id']}" for one in categories if one.get("frequency") not in ("r", "c", "f")]
    lists = {"neg_category_ids", "not_exhaustive_category_ids"}
    unlisted = [f"image {image['id']}" for image in images if not lists <= image.keys()]
    found = [
        fault("Categories need a frequency r, c or f for LVIS protocols.", unfrequent),
        fault("Images need neg_category_ids and not_exhaustive_category_ids for LVIS.", unlisted),
    ]
    return [one for one in found if one.count]


def read_annotations(ground_truth: Mapping[str, Any], *, federated: bool) -> AnnotationTable:
    """Columns of a COCO or LVIS annotation dict; the dict is not changed.

    For a federated file, objects without area are left out, as the lvis library does.
    Raises EvaluationInputError that lists every fault with its count and first offenders.
    """
    ground_truth = scorable(ground_truth)
    faults = _federated_faults(ground_truth) if federated else []
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
