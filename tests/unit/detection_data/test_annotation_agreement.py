"""An id means the same in all files of a run, or the run is refused before anything is trained."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crqat_pipeline.detection_data.annotation_agreement import category_faults, image_faults


def categories(names):
    return {"categories": [{"id": number, "name": name} for number, name in names.items()]}


def images(files):
    return {"images": [{"id": number, "file_name": name} for number, name in files.items()]}


def texts(faults):
    return [fault.text for fault in faults]


@pytest.mark.parametrize(
    ("own", "other", "told"),
    [
        ({1: "cat", 2: "dog"}, {1: "cat", 2: "dog", 3: "cow"}, None),
        ({1: "dog", 2: "cat"}, {1: "cat", 2: "dog"}, "category 1 is 'dog' here and 'cat' in val; 'dog' is 2 there"),
        ({3: "cat"}, {1: "cat"}, "category 'cat' is 3 here and 1 in val"),
        ({1: "puma"}, {1: "cat"}, "category 1 is 'puma' here and 'cat' in val"),
        ({9: "puma"}, {1: "cat"}, "category 9, 'puma', is not in val, whose names are the prompts"),
    ],
)
def test_each_disagreement_says_both_sides(own, other, told):
    found = texts(category_faults(categories(own), categories(other), "val"))
    assert (found == []) if told is None else found[0].startswith(told)


@given(st.lists(st.text(min_size=1, max_size=6), min_size=2, max_size=8, unique=True), st.randoms())
def test_any_exchange_of_names_is_found(names, rng: random.Random):
    there = dict(enumerate(names, 1))
    exchanged = names.copy()
    rng.shuffle(exchanged)
    here = dict(enumerate(exchanged, 1))
    moved = sum(here[number] != there[number] for number in here)
    assert len(texts(category_faults(categories(here), categories(there), "val"))) == moved


def test_images_of_one_folder_in_two_spellings_agree_and_others_do_not():
    assert texts(image_faults(images({1: "val2017/a.jpg"}), images({1: "a.jpg", 2: "b.jpg"}), "val")) == []
    (told,) = texts(image_faults(images({1: "b.jpg"}), images({1: "a.jpg", 2: "b.jpg"}), "val"))
    assert told.startswith("image 1 is 'b.jpg' here and 'a.jpg' in val; 'b.jpg' is 2 there")
