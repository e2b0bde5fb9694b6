"""Images and prompts join an annotation file by name, or are refused with ids and both names."""

import json
from pathlib import Path

import pytest

from crqat_pipeline.recipes.annotation_ids import join_by_name


def annotations(tmp_path, images, categories=((4, "dog"), (9, "person")), synonyms=()):
    extra = dict(synonyms)
    content = {
        "images": [{"id": number, "file_name": name, "width": 10, "height": 10} for number, name in images],
        "annotations": [{"id": 1, "image_id": images[0][0], "category_id": 4, "bbox": [1, 1, 3, 3], "area": 9}],
        "categories": [
            {"id": number, "name": name, **({"synonyms": extra[number]} if number in extra else {})}
            for number, name in categories
        ],
    }
    (tmp_path / "val.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path / "val.json"


def join(path, files, prompts=None):
    return join_by_name(path, [Path(file) for file in files], prompts)


def test_names_of_the_file_are_the_prompts_and_its_ids_the_numbers(tmp_path):
    path = annotations(tmp_path, [(7, "a.jpg"), (3, "b.jpg")])
    ids = join(path, ["photos/b.jpg", "photos/a.jpg"])
    assert (ids.prompts, ids.category_ids) == (("dog", "person"), (4, 9))
    assert (dict(ids.image_ids), ids.notes) == ({"photos/b.jpg": 3, "photos/a.jpg": 7}, ())


def test_prompts_of_ones_own_join_by_any_name_in_any_case(tmp_path):
    path = annotations(tmp_path, [(1, "a.jpg")], synonyms=[(9, ["person", "human"])])
    assert join(path, ["a.jpg"], ["Human", "dog"]).category_ids == (9, 4)


@pytest.mark.parametrize(
    ("prompts", "text"),
    [
        (["dgo"], r"'dgo' names none of its 2\. The nearest is 'dog', category 4"),
        (["zebra"], "'zebra' names none of its 2"),
        (["pet"], "'pet' is a name of 4, 9"),
    ],
)
def test_a_prompt_without_one_category_is_refused(tmp_path, prompts, text):
    path = annotations(tmp_path, [(1, "a.jpg")], synonyms=[(4, ["dog", "pet"]), (9, ["person", "pet"])])
    with pytest.raises(ValueError, match=text):
        join(path, ["a.jpg"], prompts)


def test_as_much_of_the_path_as_tells_images_apart(tmp_path):
    path = annotations(tmp_path, [(1, "train/a.jpg"), (2, "val/a.jpg"), (3, "val2017/c.jpg")])
    ids = join(path, ["/d/val/a.jpg", "/d/train/a.jpg", "/elsewhere/c.jpg"])
    assert dict(ids.image_ids) == {"/d/val/a.jpg": 2, "/d/train/a.jpg": 1, "/elsewhere/c.jpg": 3}


def test_a_whole_name_wins_over_the_end_of_another(tmp_path):
    path = annotations(tmp_path, [(1, "deep/a.jpg"), (2, "a.jpg")])
    ids = join(path, ["/d/a.jpg", "/d/deep/a.jpg"])
    assert dict(ids.image_ids) == {"/d/a.jpg": 2, "/d/deep/a.jpg": 1}


@pytest.mark.parametrize(
    ("files", "text"),
    [
        (["/d/a.jpg"], r"could be image 1 \('train/a.jpg'\) or 2 \('val/a.jpg'\)"),
        (["/d/val/a.jpg", "/e/val/a.jpg"], r"Image 2 of .* is 'val/a.jpg'; both /d/val/a.jpg and /e/val/a.jpg"),
        (["/d/x.jpg"], "None of the 1 images is in .*, which names 2, such as 'train/a.jpg'"),
    ],
)
def test_images_that_could_be_several_or_none_are_refused(tmp_path, files, text):
    path = annotations(tmp_path, [(1, "train/a.jpg"), (2, "val/a.jpg")])
    with pytest.raises(ValueError, match=text):
        join(path, files)


def test_images_of_one_side_alone_are_counted(tmp_path):
    path = annotations(tmp_path, [(1, "a.jpg"), (2, "b.jpg"), (3, "c.jpg")])
    notes = join(path, ["a.jpg", "x.jpg", "clip.mp4"]).notes
    assert notes[0].startswith("1 images are not in")
    assert notes[1].startswith("2 of 3 images of")
