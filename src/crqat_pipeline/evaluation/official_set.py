"""The official evaluation sets, told by their contents; and slices that carry a name of their own."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from crqat_pipeline.evaluation.input_faults import EvaluationInputError, Fault, fault
from crqat_pipeline.runtime.lookup import look_up


@dataclass(frozen=True)
class OfficialSet:
    """vocabulary: the key of its category list. image_folder: the COCO folder all its images lie in, or none."""

    num_images: int
    vocabulary: str
    image_folder: str | None


OFFICIAL_SETS: dict[str, OfficialSet] = {
    "coco-val2017": OfficialSet(5_000, "coco", None),
    "lvis-minival": OfficialSet(4_809, "lvis", "val2017"),
    "lvis-val": OfficialSet(19_809, "lvis", None),
}


@cache
def official_categories(vocabulary: str) -> tuple[tuple[int | str, ...], ...]:
    """(id, name) for "coco", (id, name, frequency) for "lvis", in the order of the official file."""
    text = files(__package__).joinpath("official_categories.json").read_text(encoding="utf-8")
    return tuple(tuple(row) for row in look_up(json.loads(text), vocabulary, "vocabulary"))


def official_faults(ground_truth: Mapping[str, Any], name: str) -> list[Fault]:
    """How an annotation dict differs from the official set of this name; empty if it does not."""
    expected = look_up(OFFICIAL_SETS, name, "official set")
    images, categories = ground_truth["images"], ground_truth["categories"]
    found = []
    if len(images) != expected.num_images:
        rule = f"{name} has {expected.num_images} images. The file has {len(images)}."
        found.append(fault(rule, [], abs(len(images) - expected.num_images)))
    rows = official_categories(expected.vocabulary)
    keys = ("id", "name", "frequency")[: len(rows[0])]
    given = [tuple(one.get(key) for key in keys) for one in categories]
    if len(given) != len(rows):
        rule = f"{name} has {len(rows)} categories. The file has {len(given)}."
        found.append(fault(rule, [], abs(len(given) - len(rows))))
    wrong = [f"{g} for {r}" for g, r in zip(given, rows, strict=False) if g != r]
    found.append(fault(f"Categories ({', '.join(keys)}) must be those of {name}, in its order.", wrong))
    if expected.vocabulary == "lvis":
        lists = ("neg_category_ids", "not_exhaustive_category_ids")
        unlisted = [f"image {image.get('id')}" for image in images if any(key not in image for key in lists)]
        found.append(fault(f"Images of {name} have {' and '.join(lists)}.", unlisted))
    if expected.image_folder is not None:
        where = f"{expected.image_folder}/"
        elsewhere = [f"image {i.get('id')}" for i in images if where not in str(i.get("coco_url", i.get("file_name")))]
        found.append(fault(f"Images of {name} lie in {expected.image_folder}.", elsewhere))
    return [one for one in found if one.count]


def set_name(ground_truth: Mapping[str, Any]) -> str:
    """The name of a slice, else of the official set the file is, else its description, else "unnamed"."""
    info = ground_truth.get("info") or {}
    if info.get("slice"):
        return str(info["slice"])
    sized = [name for name, one in OFFICIAL_SETS.items() if one.num_images == len(ground_truth["images"])]
    official = next((name for name in sized if not official_faults(ground_truth, name)), None)
    return official or str(info.get("description") or "unnamed")


def near_official(ground_truth: Mapping[str, Any]) -> list[str]:
    """A note for a file of an official set's sizes that is not that set, with the differences."""
    sizes = len(ground_truth["images"]), len(ground_truth["categories"])
    for name, one in OFFICIAL_SETS.items():
        if sizes == (one.num_images, len(official_categories(one.vocabulary))):
            faults = official_faults(ground_truth, name)
            return [f"The file has the sizes of {name} but is not that set: {found}" for found in faults]
    return []


def slice_images(ground_truth: Mapping[str, Any], image_ids: Collection[int], name: str) -> dict[str, Any]:
    """The annotation dict of these images alone, with all categories, under its own name."""
    wanted = set(image_ids)
    unknown = sorted(wanted - {image["id"] for image in ground_truth["images"]})
    if unknown:
        raise EvaluationInputError(f"The slice {name!r}", [fault("Its images must be in the file.", unknown)])
    return {
        **ground_truth,
        "info": {**(ground_truth.get("info") or {}), "slice": name},
        "images": [image for image in ground_truth["images"] if image["id"] in wanted],
        "annotations": [one for one in ground_truth["annotations"] if one["image_id"] in wanted],
    }


def random_slice(ground_truth: Mapping[str, Any], num_images: int, seed: int = 0) -> dict[str, Any]:
    """num_images images drawn with this seed; the name says so. The larger slice of a seed holds the smaller one."""
    from crqat_pipeline.runtime.seeding import numpy_generator  # needs torch, which other evaluations do without

    ids = [image["id"] for image in ground_truth["images"]]
    if not 1 <= num_images <= len(ids):
        raise ValueError(f"A slice holds 1 to {len(ids)} images of this file; got {num_images}.")
    order = numpy_generator(seed, "slice").permutation(len(ids))
    chosen = [ids[position] for position in order[:num_images].tolist()]
    return slice_images(ground_truth, chosen, f"{set_name(ground_truth)}, slice of {num_images} images (seed {seed})")
