"""COCO boxes under the names of LVIS v1: what the open vocabulary of LVIS can be scored on without its annotations.

Both sets name their categories by WordNet; 79 of COCO's 80 have a counterpart ("hot dog" has none).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

LVIS_NAME_OF: Mapping[str, str] = MappingProxyType(
    {
        "bus": "bus_(vehicle)",
        "car": "car_(automobile)",
        "cell phone": "cellular_telephone",
        "couch": "sofa",
        "donut": "doughnut",
        "fire hydrant": "fireplug",
        "hair drier": "hair_dryer",
        "keyboard": "computer_keyboard",
        "laptop": "laptop_computer",
        "microwave": "microwave_oven",
        "mouse": "mouse_(computer_equipment)",
        "orange": "orange_(fruit)",
        "potted plant": "flowerpot",
        "remote": "remote_control",
        "skis": "ski",
        "sports ball": "ball",
        "tie": "necktie",
        "train": "train_(railroad_vehicle)",
        "tv": "television_set",
        "wine glass": "wineglass",
    }
)
"""Name in COCO -> name in LVIS, where it is not the same with underscores for spaces."""


def lvis_categories_of(
    coco_categories: Sequence[Mapping[str, Any]], lvis_categories: Sequence[Mapping[str, Any]]
) -> dict[int, int]:
    """Id of a COCO category -> id of the LVIS category of the same things; without those that LVIS does not have."""
    id_of = {category["name"]: int(category["id"]) for category in lvis_categories}
    names = {one["id"]: LVIS_NAME_OF.get(one["name"], one["name"].replace(" ", "_")) for one in coco_categories}
    return {number: id_of[name] for number, name in names.items() if name in id_of}


def under_lvis_names(coco: Mapping[str, Any], lvis_categories: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """An LVIS dictionary of the same images and boxes: federated, since COCO says nothing of the other 1124 categories.

    In every image the counterparts of COCO's categories without a box are negatives. Crowds, which LVIS does not have,
    make their category not exhaustive there: what is found of it beside the boxes is not counted as wrong.
    """
    lvis_id = lvis_categories_of(coco["categories"], lvis_categories)
    boxes = [box for box in coco["annotations"] if box["category_id"] in lvis_id]
    present: dict[int, set[int]] = {image["id"]: set() for image in coco["images"]}
    crowded: dict[int, set[int]] = {image["id"]: set() for image in coco["images"]}
    for box in boxes:
        chosen = crowded if box.get("iscrowd") else present
        chosen[box["image_id"]].add(lvis_id[box["category_id"]])
    images = [
        {
            **image,
            "neg_category_ids": sorted(set(lvis_id.values()) - present[image["id"]] - crowded[image["id"]]),
            "not_exhaustive_category_ids": sorted(crowded[image["id"]]),
        }
        for image in coco["images"]
    ]
    plain = [box for box in boxes if not box.get("iscrowd")]
    annotations = [
        {
            "id": box["id"],
            "image_id": box["image_id"],
            "category_id": lvis_id[box["category_id"]],
            "bbox": box["bbox"],
            "area": box["area"],
        }
        for box in plain
    ]
    counts = {"image_count": 0, "instance_count": 0, "def": ""}
    return {
        "info": {"description": f"COCO boxes of {len(images)} images under the names of LVIS v1"},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [{**category, **counts} for category in lvis_categories],
    }
