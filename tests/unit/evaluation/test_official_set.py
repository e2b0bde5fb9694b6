"""Official sets are recognised by their contents; slices have their own name and change nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from crqat_pipeline.evaluation import EvaluationInputError, evaluate
from crqat_pipeline.evaluation.official_set import (
    OFFICIAL_SETS,
    official_categories,
    official_faults,
    random_slice,
    set_name,
    slice_images,
)
from tests.support.evaluation_scenes import random_scene


def _official(name: str) -> dict[str, Any]:
    expected = OFFICIAL_SETS[name]
    keys = ("id", "name", "frequency")
    categories = [dict(zip(keys, row, strict=False)) for row in official_categories(expected.vocabulary)]
    images: list[dict[str, Any]] = [{"id": i, "file_name": f"{i}.jpg"} for i in range(expected.num_images)]
    if expected.vocabulary == "lvis":
        images = [{"id": one["id"], "coco_url": f"http://images.cocodataset.org/val2017/{one['id']}.jpg",
                   "neg_category_ids": [], "not_exhaustive_category_ids": []} for one in images]  # fmt: skip
    return {"images": images, "categories": categories, "annotations": [], "info": {"description": "a file"}}


def test_the_vocabularies_are_those_of_the_papers() -> None:
    coco, lvis = official_categories("coco"), official_categories("lvis")
    assert (len(coco), coco[0], coco[-1]) == (80, (1, "person"), (90, "toothbrush"))
    assert [row[0] for row in lvis] == list(range(1, 1204))
    assert [sum(row[2] == letter for row in lvis) for letter in "rcf"] == [337, 461, 405]
    assert lvis[135][:2] == (136, "bow_(weapon)")


@pytest.mark.parametrize("name", list(OFFICIAL_SETS))
def test_an_official_file_is_recognised(name: str) -> None:
    truth = _official(name)
    assert official_faults(truth, name) == []
    assert set_name(truth) == name
    truth["images"].pop()
    assert set_name(truth) == "a file"


def test_every_difference_is_listed() -> None:
    truth = _official("lvis-minival")
    truth["images"].pop()
    truth["images"][0]["coco_url"] = "http://images.cocodataset.org/train2017/0.jpg"
    del truth["images"][1]["neg_category_ids"]
    truth["categories"][0], truth["categories"][1] = truth["categories"][1], truth["categories"][0]
    truth["categories"][5]["frequency"] = "x"
    text = "\n".join(map(str, official_faults(truth, "lvis-minival")))
    assert "has 4809 images. The file has 4808. Found 1" in text
    assert "in its order. Found 3: (2, 'air_conditioner', 'f') for (1, 'aerosol_can', 'c')" in text
    assert "not_exhaustive_category_ids. Found 1: image 1" in text
    assert "lie in val2017. Found 1: image 0" in text
    with pytest.raises(ValueError, match="Did you mean 'lvis-minival'"):
        official_faults(truth, "lvis_minival")


def test_a_file_that_only_has_the_sizes_says_so_in_its_result() -> None:
    truth = _official("lvis-minival")
    truth["categories"][3]["frequency"] = "r" if truth["categories"][3]["frequency"] != "r" else "c"
    result = evaluate(truth, [], "lvis", "fast")
    assert result.dataset == "a file"
    assert result.notes[1].startswith(
        "The file has the sizes of lvis-minival but is not that set: Categories (id, name"
    )
    assert evaluate(_official("lvis-minival"), [], "lvis", "fast").notes == ("There are no detections.",)


def test_a_slice_is_named_and_nested() -> None:
    truth, detections = random_scene(3, federated=False, num_images=6)
    large, small = random_slice(truth, 4), random_slice(truth, 2)
    ids = [{image["id"] for image in one["images"]} for one in (large, small)]
    assert ids[1] < ids[0]
    assert small["info"]["slice"] == "unnamed, slice of 2 images (seed 0)"
    assert {one["image_id"] for one in small["annotations"]} <= ids[1]
    assert random_slice(truth, 2) == small
    inside = [one for one in detections if one["image_id"] in ids[0]]
    assert evaluate(large, inside, "coco").dataset == "unnamed, slice of 4 images (seed 0)"
    assert "info" not in truth


def test_slices_that_cannot_be() -> None:
    truth, _ = random_scene(3, federated=False, num_images=2)
    with pytest.raises(ValueError, match="holds 1 to 2 images of this file; got 3"):
        random_slice(truth, 3)
    with pytest.raises(EvaluationInputError, match="Found 1: 5"):
        slice_images(truth, [5], "mine")
