import json
import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from crqat_pipeline.detection_data.annotated_vocabulary import vocabulary_from_annotations
from crqat_pipeline.detection_data.open_shapes import WORDS, OpenShapes, OpenShapesSpec, draw_layout, render_file
from crqat_pipeline.detection_data.open_shapes.annotations import frequency
from crqat_pipeline.detection_data.open_shapes.categories import CATEGORIES, COLOURS, novel_pairs
from crqat_pipeline.detection_data.open_shapes.scene import draw_scene

SMALL = OpenShapesSpec(num_train_images=300, num_val_images=40, num_tune_images=20, num_qat_images=30)


@pytest.fixture(scope="module")
def layout() -> OpenShapes:
    return draw_layout(SMALL)


def test_categories_are_all_compositions_of_three_words() -> None:
    assert len(CATEGORIES) == 240 == len({category.name for category in CATEGORIES})
    assert [category.id for category in CATEGORIES] == list(range(1, 241))
    assert {word for category in CATEGORIES for word in category.name.split()} == set(WORDS)


@pytest.mark.parametrize("seed", [0, 1, 17])
def test_each_colour_loses_two_shapes(seed: int) -> None:
    pairs = novel_pairs(seed)
    assert Counter(colour for colour, _ in pairs) == dict.fromkeys(COLOURS, 2)
    assert max(Counter(shape for _, shape in pairs).values()) == 2


def test_vocabulary_splits(layout: OpenShapes) -> None:
    splits = {name: set(ids) for name, ids in layout.vocabulary.splits.items()}
    assert {name: len(ids) for name, ids in splits.items()} == {"base": 192, "novel": 48, "qat": 24, "unseen": 168}
    assert not splits["base"] & splits["novel"]
    assert splits["qat"] | splits["unseen"] == splits["base"]
    words = Counter(word for number in splits["qat"] for word in CATEGORIES[number - 1].name.split())
    assert {words[texture] for texture in WORDS[:3]} == {8}
    assert {words[colour] for colour in COLOURS} == {3}
    assert {words[shape] for shape in WORDS[11:]} <= {2, 3}


def test_splits_hold_the_categories_they_promise(layout: OpenShapes) -> None:
    used = {
        split: {annotation["category_id"] for annotation in content["annotations"]}
        for split, content in layout.annotations.items()
    }
    assert used["train"] <= set(layout.vocabulary.splits["base"])
    assert used["qat"] <= set(layout.vocabulary.splits["qat"])
    assert used["val"] & set(layout.vocabulary.splits["novel"])
    assert used["tune"] & set(layout.vocabulary.splits["novel"])


def test_training_files_do_not_even_name_what_they_withhold(layout: OpenShapes) -> None:
    listed = {
        split: {category["id"] for category in content["categories"]} for split, content in layout.annotations.items()
    }
    assert listed["train"] == set(layout.vocabulary.splits["base"])
    assert listed["qat"] == set(layout.vocabulary.splits["qat"])
    assert listed["val"] == listed["tune"] == set(layout.vocabulary.category_ids)


def test_the_vocabulary_is_read_back_from_the_annotations(layout: OpenShapes) -> None:
    content = json.loads(json.dumps(layout.annotations["val"]))
    assert vocabulary_from_annotations(content) == layout.vocabulary


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10), index=st.integers(0, 500), split=st.sampled_from(["train", "val", "qat"]))
def test_objects_lie_inside_and_overlap_little(seed: int, index: int, split: str) -> None:
    spec = OpenShapesSpec(seed=seed)
    scene = draw_scene(spec, split, index)  # type: ignore[arg-type]
    assert 2 <= len(scene) <= 6
    for item in scene:
        assert item.left >= 0
        assert item.top >= 0
        assert item.left + item.width <= 128
        assert item.top + item.height <= 128
    for a, b in combinations(scene, 2):
        width = min(a.left + a.width, b.left + b.width) - max(a.left, b.left)
        height = min(a.top + a.height, b.top + b.height) - max(a.top, b.top)
        if width > 0 and height > 0:
            assert width * height <= 0.22 * min(a.width * a.height, b.width * b.height) + 1e-9


def test_objects_of_every_size_find_room() -> None:
    scenes = [draw_scene(OpenShapesSpec(), "train", index) for index in range(300)]
    sizes = np.array([math.sqrt(item.width * item.height) for scene in scenes for item in scene])
    shares = [np.mean((low <= sizes) & (sizes < high)) for low, high in ((0, 32), (32, 64), (64, 97))]
    assert min(shares) > 0.12


def test_a_scene_does_not_depend_on_the_number_of_scenes(layout: OpenShapes) -> None:
    more = SMALL.model_copy(update={"num_train_images": 5000, "num_qat_images": 900})
    assert draw_scene(more, "train", 7) == draw_scene(SMALL, "train", 7)
    pixels = layout.rendered("train").render("000007.jpg")
    assert np.array_equal(render_file(more, "train", "000007.jpg"), pixels)


def test_same_seed_same_everything_other_seed_other_scenes(layout: OpenShapes) -> None:
    again = draw_layout(SMALL)
    assert again == layout
    other = draw_layout(SMALL.model_copy(update={"seed": 1}))
    assert other.annotations["val"]["annotations"] != layout.annotations["val"]["annotations"]
    assert other.fingerprint != layout.fingerprint == again.fingerprint


def test_frequencies_count_training_images(layout: OpenShapes) -> None:
    train = layout.annotations["train"]
    images_of: dict[int, set[int]] = {category.id: set() for category in CATEGORIES}
    for annotation in train["annotations"]:
        images_of[annotation["category_id"]].add(annotation["image_id"])
    for category in layout.annotations_lvis["val"]["categories"]:
        assert category["image_count"] == len(images_of[category["id"]])
        assert category["frequency"] == frequency(category["image_count"])
    assert [frequency(count) for count in (0, 10, 11, 100, 101)] == ["r", "r", "c", "c", "f"]


def test_the_training_distribution_has_rare_common_and_frequent_categories() -> None:
    images_of: dict[int, int] = Counter()
    for index in range(4000):
        images_of.update({item.category_id for item in draw_scene(OpenShapesSpec(), "train", index)})
    counts = Counter(frequency(2 * images_of[category.id]) for category in CATEGORIES)  # of 8000 images
    assert counts["r"] - 48 >= 12  # 48 novel categories have no image
    assert min(counts["c"], counts["f"]) >= 40


def test_novel_categories_count_as_rare(layout: OpenShapes) -> None:
    novel = [category for category in layout.annotations_lvis["val"]["categories"] if "novel" in category["splits"]]
    assert {(category["frequency"], category["image_count"]) for category in novel} == {("r", 0)}


def test_federated_labels_agree_with_the_complete_ones(layout: OpenShapes) -> None:
    complete, federated = layout.annotations["val"], layout.annotations_lvis["val"]
    present: dict[int, Counter[int]] = {image["id"]: Counter() for image in complete["images"]}
    for annotation in complete["annotations"]:
        present[annotation["image_id"]][annotation["category_id"]] += 1
    kept = Counter((row["image_id"], row["category_id"]) for row in federated["annotations"])
    for image in federated["images"]:
        assert len(image["neg_category_ids"]) == SMALL.negatives_per_image
        assert not set(image["neg_category_ids"]) & present[image["id"]].keys()
        for category, count in present[image["id"]].items():
            is_partial = category in image["not_exhaustive_category_ids"]
            assert kept[image["id"], category] == count - is_partial > 0


def test_names_that_are_not_of_the_benchmark_are_refused(layout: OpenShapes) -> None:
    rendered = layout.rendered("train")
    assert rendered.names[0] == "000000.jpg"
    for name in ("000300.jpg", "7.jpg", "notes.txt"):
        with pytest.raises(ValueError, match=f"has no image '{name}'; split 'train' runs from '000000.jpg'"):
            rendered.render(name)
    with pytest.raises(ValueError, match="Unknown OpenShapes split 'trian'"):
        layout.rendered("trian")


def test_impossible_specs_are_refused() -> None:
    with pytest.raises(ValidationError, match="must be at least min_objects"):
        OpenShapesSpec(min_objects=5, max_objects=4)
    with pytest.raises(ValidationError, match="3/4 of image_size_px"):
        OpenShapesSpec(image_size_px=64)
