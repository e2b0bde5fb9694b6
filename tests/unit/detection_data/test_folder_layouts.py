"""YOLO's text files, Pascal VOC's XML files and COCO's JSON of the same photographs are the same annotations."""

import json

import pytest
from PIL import Image

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.layouts import read_annotations

VOC = """<annotation><filename>{name}</filename><object><name>{label}</name><difficult>0</difficult>
<bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object></annotation>
"""


@pytest.fixture
def folder(tmp_path):
    """Two photographs of 80×40, the second in a folder below; a cat in the first, a dog in the second."""
    for name in ("images/a.png", "images/below/b.png", "images/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (80, 40)).save(tmp_path / name)
    (tmp_path / "labels" / "below").mkdir(parents=True)
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.25 0.5\n", encoding="utf-8")
    (tmp_path / "labels" / "below" / "b.txt").write_text("1 0.1 0.2 0.4 0.2 0.4 0.6\n", encoding="utf-8")
    (tmp_path / "data.yaml").write_text("names: {0: cat, 1: dog}\n", encoding="utf-8")
    (tmp_path / "voc").mkdir()
    (tmp_path / "voc" / "a.xml").write_text(VOC.format(name="a.png", label="cat", box=(30, 10, 50, 30)))
    (tmp_path / "voc" / "b.xml").write_text(VOC.format(name="C:\\x\\b.png", label="dog", box=(8, 8, 32, 24)))
    return tmp_path


def facts(content):
    names = {one["id"]: one["name"] for one in content["categories"]}
    files = {one["id"]: one["file_name"] for one in content["images"]}
    return sorted(
        (files[box["image_id"]], names[box["category_id"]], tuple(round(side, 6) for side in box["bbox"]))
        for box in content["annotations"]
    )


EXPECTED = [("a.png", "cat", (30.0, 10.0, 20.0, 20.0)), ("below/b.png", "dog", (8.0, 8.0, 24.0, 16.0))]


@pytest.mark.parametrize("name", ["labels", "voc", "data.yaml"])
def test_layouts_agree(folder, name):
    content = read_annotations(folder / name, ImageFolder(folder / "images"))
    assert facts(content) == EXPECTED
    assert [(one["file_name"], one["width"], one["height"]) for one in content["images"]] == [
        ("a.png", 80, 40), ("below/b.png", 80, 40), ("c.png", 80, 40),
    ]  # fmt: skip


def test_the_one_json_of_a_folder_is_read(folder):
    (folder / "roboflow").mkdir()
    (folder / "roboflow" / "_annotations.coco.json").write_text(json.dumps({"images": []}))
    assert read_annotations(folder / "roboflow", ImageFolder(folder)) == {"images": []}
    (folder / "roboflow" / "other.json").write_text("{}")
    with pytest.raises(ValueError, match=r"2 JSON files\. Name the file"):
        read_annotations(folder / "roboflow", ImageFolder(folder))


def test_faulty_lines_are_told_together(folder):
    (folder / "labels" / "a.txt").write_text("0 0.5 0.5 0.25\n2 0.5 0.5 0.1 0.1\n0 300 20 40 40\nx 0 0 0 0\n")
    (folder / "labels" / "gone.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(ValueError, match="5 faults") as told:
        read_annotations(folder / "labels", ImageFolder(folder / "images"))
    text = str(told.value)
    for part in (
        "a.txt, line 1: a box has four numbers", "line 2: the class must be from 0 to 1",
        "line 3: shares lie from 0 to 1", "line 4: fields must be numbers", "gone.txt: no image of that name",
    ):  # fmt: skip
        assert part in text


def test_labels_without_names_are_refused_with_the_way_out(folder):
    (folder / "data.yaml").unlink()
    with pytest.raises(ValueError, match=r"no list of names is beside .*Write .*classes\.txt"):
        read_annotations(folder / "labels", ImageFolder(folder / "images"))


def test_xml_that_is_none_or_tries_tricks_is_refused(folder):
    (folder / "voc" / "a.xml").write_text("<annotation>")
    (folder / "voc" / "b.xml").write_text('<!DOCTYPE a [<!ENTITY b "c">]><annotation/>')
    (folder / "voc" / "c.xml").write_text("<annotation><object><name>cat</name></object></annotation>")
    with pytest.raises(ValueError, match="3 faults") as told:
        read_annotations(folder / "voc", ImageFolder(folder / "images"))
    for part in ("a.xml: is no XML", "b.xml: declares a document type", "c.xml: object 1, 'cat', lacks a bndbox"):
        assert part in str(told.value)


def test_a_folder_of_nothing_is_refused(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="Annotations are a COCO JSON, a folder of YOLO's"):
        read_annotations(tmp_path / "empty", ImageFolder(folder / "images"))
