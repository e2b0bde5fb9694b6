"""One annotation dictionary as two, every class in both in the same share as far as its images allow.

Iterative stratification (Sechidis et al., 2011): the images of the rarest class are dealt first, each to the part that
still needs most of that class.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crqat_pipeline.runtime.seeding import numpy_generator

Record = Mapping[str, Any]


def stratified_split(annotations: Record, share: float, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the larger part, the part of about `share` of the images), images in the order of the file.

    annotations: sound records. The same seed gives the same parts. Raises ValueError for a share that leaves a part
    empty.
    """
    images = annotations["images"]
    target = round(share * len(images))
    if not 0 < target < len(images):
        raise ValueError(
            f"Both parts of a split need an image; {share:g} of {len(images)} images leaves one empty. Give more "
            "images, or a validation file."
        )
    classes: dict[int, set[int]] = {image["id"]: set() for image in images}
    for box in annotations["annotations"]:
        if not box.get("iscrowd", 0):
            classes[box["image_id"]].add(box["category_id"])
    chosen = _dealt(classes, target, seed)
    return _part(annotations, set(classes) - chosen), _part(annotations, chosen)


def _dealt(classes: Mapping[int, set[int]], target: int, seed: int) -> set[int]:
    """Ids of the images of the smaller part."""
    order = list(classes)
    order = [order[row] for row in numpy_generator(seed, "stratified_split").permutation(len(order))]
    share, free = target / len(order), [float(len(order) - target), float(target)]
    images_of: dict[int, list[int]] = {}
    for image in order:
        for label in classes[image]:
            images_of.setdefault(label, []).append(image)
    needs = {label: [(1 - share) * len(own), share * len(own)] for label, own in images_of.items()}
    open_images = dict.fromkeys(order)
    parts: tuple[set[int], set[int]] = (set(), set())

    def deal(image: int, wish: list[float]) -> None:
        part = int((wish[1], free[1]) > (wish[0], free[0])) if min(free) > 0 else int(free[1] > 0)
        parts[part].add(image)
        free[part] -= 1
        for label in classes[image]:
            needs[label][part] -= 1
        del open_images[image]

    while images_of:
        label = min(images_of, key=lambda one: (len(images_of[one]), one))
        for image in images_of.pop(label):
            if image in open_images:
                deal(image, needs[label])
        images_of = {one: left for one, own in images_of.items() if (left := [i for i in own if i in open_images])}
    for image in list(open_images):
        deal(image, free)
    return parts[1]


def _part(annotations: Record, image_ids: set[int]) -> dict[str, Any]:
    return {
        **annotations,
        "images": [image for image in annotations["images"] if image["id"] in image_ids],
        "annotations": [box for box in annotations["annotations"] if box["image_id"] in image_ids],
    }
