import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from crqat_pipeline.detection_data import (
    AnnotationError,
    ImageFolder,
    check_annotations,
    is_federated,
    read_json_annotations,
)
from crqat_pipeline.detection_data.annotation_file import AnnotationFile
from crqat_pipeline.detection_data.annotation_records import ReadingRules
from crqat_pipeline.detection_data.faulty_boxes import FaultyBoxSpec

SHARED = Path(__file__).parents[4] / "shared" / "data" / "coco_mini"

GOOD: dict[str, Any] = {
    "images": [
        {"id": 1, "file_name": "a.jpg", "width": 64, "height": 48},
        {"id": 2, "file_name": "sub/b.jpg", "width": 32, "height": 32},
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 7, "bbox": [0, 0, 64.4, 48], "area": 3000, "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 9, "bbox": [3, 4, 5.5, 6], "area": 33, "iscrowd": 1},
    ],
    "categories": [{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}],
}


@pytest.fixture
def images(tmp_path: Path) -> ImageFolder:
    random = np.random.default_rng(0)
    (tmp_path / "sub").mkdir()
    for name, shape in (("a.jpg", (48, 64, 3)), ("sub/b.jpg", (32, 32, 3))):
        Image.fromarray(random.integers(0, 255, shape, dtype=np.uint8)).save(tmp_path / name)
    return ImageFolder(tmp_path)


def changed(section: str, index: int, **values: Any) -> dict[str, Any]:
    result = copy.deepcopy(GOOD)
    result[section][index].update(values)
    return result


def faults(annotations: dict[str, Any], images: ImageFolder, **options: Any) -> list[str]:
    with pytest.raises(AnnotationError) as caught:
        check_annotations(annotations, images, federated=options.pop("federated", False), **options)
    return [f"{fault.kind}: {fault.text}" for fault in caught.value.faults]


def test_good_annotations_are_counted(images: ImageFolder) -> None:
    summary = check_annotations(GOOD, images, federated=False)
    assert str(summary) == "2 images (1 without boxes), 2 boxes (1 crowd), 2 of 2 categories occur"


@pytest.mark.parametrize(
    ("section", "index", "values", "expected"),
    [
        ("annotations", 0, {"category_id": 8}, "unknown category: annotation 1 is of category 8"),
        ("annotations", 0, {"image_id": 5}, "unknown image: annotation 1 is of image 5"),
        ("annotations", 1, {"category_id": "nine"}, "malformed record: annotations[1].category_id must be a whole num"),
        ("annotations", 1, {"category_id": 2**63}, "malformed record: annotations[1].category_id must fit in 64 bits"),
        ("annotations", 1, {"iscrowd": 2}, "malformed record: annotations[1].iscrowd must be 0 or 1; got 2"),
        ("annotations", 1, {"area": "large"}, "malformed record: annotations[1].area must be a number; got 'large'"),
        ("categories", 1, {"name": "cat"}, "duplicate name: categories 7, 9 are all named 'cat'"),
        ("categories", 1, {"name": " "}, "malformed record: categories[1].name must be a text that is not empty"),
        ("categories", 1, {"id": -1}, "malformed record: categories[1].id must be from 0"),
        ("images", 1, {"id": None}, "malformed record: images[1].id is null"),
        ("annotations", 1, {"id": 1}, "duplicate id: annotation id 1 occurs 2 times"),
        ("categories", 1, {"id": 7}, "duplicate id: category id 7 occurs 2 times"),
        ("images", 1, {"id": 1}, "duplicate id: image id 1 occurs 2 times"),
        ("images", 1, {"file_name": "gone.jpg"}, "image file: image 2: Image file 'gone.jpg' does not exist"),
        ("images", 1, {"file_name": "../b.jpg"}, "image file: image 2: Image name '../b.jpg' does not stay inside"),
        ("images", 1, {"width": 33}, "image size: image 2: file 'sub/b.jpg' has 32×32 pixels, annotated are 33×32"),
        ("images", 1, {"height": 0}, "malformed record: images[1].height must be from 1 to 2147483647; got 0"),
    ],
)  # fmt: skip
def test_each_fault_is_found(
    images: ImageFolder, section: str, index: int, values: dict[str, Any], expected: str
) -> None:
    assert any(fault.startswith(expected) for fault in faults(changed(section, index, **values), images))


@pytest.mark.parametrize(
    ("bbox", "kind", "text"),
    [
        ([3, 4, 0, 6], "empty box", "annotation 2: box [3, 4, 0, 6] must have a positive width and height"),
        ([3, 4, 5, -1], "empty box", "annotation 2: box [3, 4, 5, -1] must"),
        ([60, 4, 6, 6], "box leaves image", "annotation 2: box [60, 4, 6, 6] leaves image 1 of 64×48 pixels"),
        ([-2, 4, 6, 6], "box leaves image", "annotation 2"),
        ([900, 900, 6, 6], "box outside image", "annotation 2"),
        ([1, 2, 3], "box of no numbers", "annotation 2: box [1, 2, 3] must be four finite numbers"),
        ([1, 2, 3, float("nan")], "box of no numbers", "annotation 2: box [1, 2, 3, nan] must"),
        (None, "box of no numbers", "annotation 2: box None must"),
        ([1, 2, 3, 1e400], "box of no numbers", "annotation 2"),
    ],
)
def test_a_faulty_box_is_repaired_and_counted_or_refused(images: ImageFolder, bbox: Any, kind: str, text: str) -> None:
    file = AnnotationFile(changed("annotations", 1, bbox=bbox), "a.json")
    assert file.records.left_out[kind].startswith(f"1 ({text}")
    assert check_annotations(file, images, federated=False).num_boxes == (2 if kind == "box leaves image" else 1)
    for box in file["annotations"]:
        left, top, width, height = box["bbox"]
        assert 0 <= left < left + width <= 65
        assert 0 <= top < top + height <= 49
    strict = ReadingRules(FaultyBoxSpec(faulty_boxes="refuse"))
    assert any(
        f"{kind}: {text}" in fault for fault in faults(changed("annotations", 1, bbox=bbox), images, rules=strict)
    )


def test_a_file_of_mostly_faulty_boxes_is_refused(images: ImageFolder) -> None:
    bad = changed("annotations", 1, bbox=[1, 1, -1, 1])
    bad["annotations"][0]["bbox"] = [70, 1, 2, 2]
    assert faults(bad, images)[0].startswith("faulty boxes: 2 of 2 boxes are faulty, 100%; at most 50% may be")
    shares = copy.deepcopy(GOOD)
    for box in shares["annotations"]:
        box["bbox"] = [0.25, 0.25, 0.5, 0.5]
    assert "all 2 boxes lie between 0 and 1" in faults(shares, images)[0]


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("images", {"id": "0002"}),
        ("images", {"id": 2.0, "width": 32.0, "height": "32"}),
        ("images", {"file_name": "sub\\b.jpg", "coco_url": None}),
        ("images", {"file_name": "./sub/b.jpg", "date_captured": None}),
        ("images", {"file_name": None, "coco_url": "http://host/sub/b.jpg?size=large"}),
        ("annotations", {"iscrowd": True, "area": None}),
        ("annotations", {"iscrowd": 1.0, "area": float("nan")}),
        ("annotations", {"id": None, "segmentation": None}),
        ("annotations", {"image_id": "01", "category_id": "9"}),
        ("categories", {"id": "09", "name": " dog ", "synonyms": None, "splits": None}),
    ],
)
def test_harmless_spellings_are_read(images: ImageFolder, section: str, values: dict[str, Any]) -> None:
    given = changed(section, 1, **values)
    before = copy.deepcopy(given)
    file = AnnotationFile(given)
    assert str(check_annotations(file, images, federated=False)) == (
        "2 images (1 without boxes), 2 boxes (1 crowd), 2 of 2 categories occur"
    )
    assert [one["id"] for one in file["images"]] == [1, 2]
    assert file["annotations"][1]["area"] in (33, 33.0)
    assert [one["name"] for one in file["categories"]] == ["cat", "dog"]
    assert str(given) == str(before)


def test_records_in_the_schemas_spelling_are_not_copied() -> None:
    assert AnnotationFile(GOOD).records.content is GOOD


def test_one_bad_record_neither_hides_nor_invents_others(images: ImageFolder) -> None:
    bad = changed("images", 0, width="wide")
    bad["categories"][0]["name"] = None
    bad["annotations"][1]["image_id"] = 5
    assert faults(bad, images) == [
        "malformed record: images[0].width must be a whole number; got 'wide'",
        "malformed record: categories[0].name is null",
        "unknown image: annotation 2 is of image 5, which is not in 'images'",
    ]


def test_a_group_row_without_boxes_is_left_out() -> None:
    content = copy.deepcopy(GOOD)
    for category in content["categories"]:
        category["supercategory"] = "animals"
    content["categories"].insert(0, {"id": 0, "name": "animals", "supercategory": "none"})  # Roboflow
    file = AnnotationFile(content)
    assert [one["name"] for one in file["categories"]] == ["cat", "dog"]
    assert file.records.left_out == {"super-categories without boxes": "1 ('animals')"}
    content["annotations"][0]["category_id"] = 0
    assert len(AnnotationFile(content)["categories"]) == 3


def test_a_truncated_jpeg_is_found_by_decoding(images: ImageFolder) -> None:
    path = images.root / "a.jpg"
    path.write_bytes(path.read_bytes()[:1500])
    assert "is damaged or cut off" in faults(GOOD, images)[0]
    check_annotations(GOOD, images, federated=False, decode_images=False)


def test_without_decoding_missing_files_are_still_found(images: ImageFolder) -> None:
    (images.root / "a.jpg").unlink()
    assert faults(GOOD, images, decode_images=False) == [
        f"image file: image 1: file 'a.jpg' does not exist in {images.root}"
    ]


def test_empty_and_missing_sections(images: ImageFolder) -> None:
    assert "empty list: 'categories' is empty" in faults({**GOOD, "categories": []}, images)[0]
    assert "empty list: 'images' is empty" in faults({**GOOD, "images": []}, images)[0]
    without = {key: value for key, value in GOOD.items() if key != "annotations"}
    assert "missing section: 'annotations' must be a list; got NoneType" in faults(without, images)[0]


def test_all_faults_are_reported_together(images: ImageFolder) -> None:
    bad = changed("images", 1, file_name="gone.jpg")
    bad["annotations"] += [{"id": 3 + i, "image_id": 1, "category_id": 99, "bbox": [1, 1, 0, 2]} for i in range(30)]
    with pytest.raises(AnnotationError) as caught:
        check_annotations(bad, images, federated=False, rules=ReadingRules(FaultyBoxSpec(faulty_boxes="refuse")))
    message = str(caught.value)
    assert "have 61 fault(s): 30 × unknown category, 30 × empty box, 1 × image file" in message
    assert "… and 41 more" in message
    assert message.count("\n  - ") == 20
    assert str(pickle.loads(pickle.dumps(caught.value))) == message


def test_federated_files_need_their_own_fields(images: ImageFolder) -> None:
    found = faults(GOOD, images, federated=True)
    assert len(found) == 1
    assert found[0].startswith(
        "not federated: no image has 'neg_category_ids': a COCO file, where an LVIS file is wanted"
    )
    half = changed("images", 0, neg_category_ids=[], not_exhaustive_category_ids=[])
    found = faults(half, images, federated=True)
    assert sum(fault.startswith("no frequency") for fault in found) == 2
    assert sum(fault.startswith("not federated: image 2 has no") for fault in found) == 2
    lvis = copy.deepcopy(GOOD)
    for category in lvis["categories"]:
        category["frequency"] = "f"
    for image in lvis["images"]:
        image.update(neg_category_ids=[9, 50], not_exhaustive_category_ids=[])
    assert faults(lvis, images, federated=True) == [
        "unknown category: image 1 lists category 50, not in 'categories'",
        "contradiction: image 1 has boxes of category 9, but lists it as absent",
        "unknown category: image 2 lists category 50, not in 'categories'",
    ]


def test_files_that_are_not_annotations_are_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text('{"images": [1,')
    with pytest.raises(ValueError, match=r"broken\.json is not: .* at line 1, column 15"):
        read_json_annotations(tmp_path / "broken.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"binary\.json is not: truncated data"):
        read_json_annotations(tmp_path / "binary.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(ValueError, match=r"must hold an object with images, annotations, categories; .* holds a list"):
        read_json_annotations(tmp_path / "list.json")
    with pytest.raises(ValueError, match=r"gone\.json does not exist"):
        read_json_annotations(tmp_path / "gone.json")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared photographs (coco_mini) are not beside the project")
@pytest.mark.parametrize(
    ("name", "expected"), [("instances_val", (461, 80, False)), ("lvis_style_val", (460, 1203, True))]
)
def test_real_photographs_pass(name: str, expected: tuple[int, int, bool]) -> None:
    annotations = read_json_annotations(SHARED / "annotations" / f"{name}.json")
    federated = is_federated(annotations)
    summary = check_annotations(annotations, ImageFolder(SHARED / "images"), federated=federated)
    assert (summary.num_boxes, summary.num_categories, federated) == expected
