"""Two annotation dictionaries with one numbering of their categories: joined by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Record = Mapping[str, Any]


def joined(train: Record, val: Record) -> tuple[Record, Record, bool]:
    """Both with all categories of both, those of `train` with their ids; and whether anything had to change.

    Names are compared as they are written. Ids are kept where the files agree already and validation lists every
    category of training.
    """
    own = {one["name"]: one for one in train["categories"]}
    other = {one["name"]: one for one in val["categories"]}
    if all(name in other and other[name]["id"] == one["id"] for name, one in own.items()):
        taken = {one["id"] for one in own.values()}
        if all(name in own or one["id"] not in taken for name, one in other.items()):
            return train, val, False
    free = 1 + max(one["id"] for one in (*own.values(), *other.values()))
    added = [{**one, "id": free + row} for row, one in enumerate(one for name, one in other.items() if name not in own)]
    categories = [*train["categories"], *added]
    ids = {one["name"]: one["id"] for one in categories}
    return _renumbered(train, categories, ids), _renumbered(val, categories, ids), True


def _renumbered(annotations: Record, categories: list[Any], ids: Mapping[str, int]) -> Record:
    new_id = {one["id"]: ids[one["name"]] for one in annotations["categories"]}
    boxes = [{**box, "category_id": new_id[box["category_id"]]} for box in annotations["annotations"]]
    return {**annotations, "annotations": boxes, "categories": categories}
