"""One library call's worth of a set: some categories, the images that concern them, and their detections.

Images without an object and without a detection of these categories change no figure and are left out.
Shape letters: G objects, M detections, I images, K categories, P pairs.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from crqat_pipeline.evaluation.annotation_table import AnnotationTable
from crqat_pipeline.evaluation.detection_table import DetectionTable, IntArray

Records = list[dict[str, Any]]


@dataclass(frozen=True)
class LibraryInput:
    """Rows of one shard. column_K: the columns of these categories in the whole annotation file."""

    annotations: AnnotationTable
    detections: DetectionTable
    columns_K: IntArray

    def dataset(self) -> dict[str, Records]:
        """A fresh annotation dict for a library, which may write into it. Object ids count from 1, because the
        libraries take id 0 for "no match".
        """
        table = self.annotations
        boxes, areas = table.boxes_xywh_G4.tolist(), table.areas_G.tolist()
        crowds, ignored = table.is_crowd_G.tolist(), table.is_ignored_G.tolist()
        owners = zip(table.object_image_ids_G.tolist(), table.object_category_ids_G.tolist(), strict=True)
        objects = [
            {
                "id": row + 1,
                "image_id": image_id,
                "category_id": category_id,
                "bbox": boxes[row],
                "area": areas[row],
                "iscrowd": 0 if table.is_federated else crowds[row],
                "ignore": ignored[row] if table.is_federated else 0,
            }
            for row, (image_id, category_id) in enumerate(owners)
        ]
        negatives, open_lists = _by_image(table.negatives_P2), _by_image(table.not_exhaustive_P2)
        images = [
            {"id": i, "neg_category_ids": negatives[i], "not_exhaustive_category_ids": open_lists[i]}
            for i in table.image_ids_I.tolist()
        ]
        categories: Records = [{"id": i} for i in table.category_ids_K.tolist()]
        for category, frequency in zip(categories, table.frequencies, strict=table.is_federated):
            category["frequency"] = frequency
        return {"images": images, "annotations": objects, "categories": categories}

    def results(self) -> Records:
        """COCO results with the id and area that both libraries give them."""
        records = self.detections.records()
        for row, record in enumerate(records):
            record["id"] = row + 1
            record["area"] = record["bbox"][2] * record["bbox"][3]
        return records


def _by_image(pairs_P2: IntArray) -> defaultdict[int, list[int]]:
    lists: defaultdict[int, list[int]] = defaultdict(list)
    for image_id, category_id in pairs_P2.tolist():
        lists[image_id].append(category_id)
    return lists


def select_categories(annotations: AnnotationTable, detections: DetectionTable, columns_K: IntArray) -> LibraryInput:
    """The part of a set that concerns the categories at these columns (ascending)."""
    ids_K = annotations.category_ids_K[columns_K]
    objects_G = np.isin(annotations.object_category_ids_G, ids_K)
    table = detections.take(np.isin(detections.category_ids_M, ids_K))
    image_ids_I = np.union1d(annotations.object_image_ids_G[objects_G], table.image_ids_M)

    def pairs_of(pairs_P2: IntArray) -> IntArray:
        return pairs_P2[np.isin(pairs_P2[:, 1], ids_K) & np.isin(pairs_P2[:, 0], image_ids_I)]

    part = AnnotationTable(
        image_ids_I=image_ids_I,
        category_ids_K=ids_K,
        category_names=tuple(annotations.category_names[k] for k in columns_K),
        frequencies=tuple(annotations.frequencies[k] for k in columns_K) if annotations.is_federated else (),
        object_image_ids_G=annotations.object_image_ids_G[objects_G],
        object_category_ids_G=annotations.object_category_ids_G[objects_G],
        boxes_xywh_G4=annotations.boxes_xywh_G4[objects_G],
        areas_G=annotations.areas_G[objects_G],
        is_crowd_G=annotations.is_crowd_G[objects_G],
        is_ignored_G=annotations.is_ignored_G[objects_G],
        negatives_P2=pairs_of(annotations.negatives_P2),
        not_exhaustive_P2=pairs_of(annotations.not_exhaustive_P2),
        dataset=annotations.dataset,
    )
    return LibraryInput(part, table, columns_K)
