"""What was found, as COCO results, YOLO's labels and a table: whole, ours, and never in place of another's file."""

import csv
import json
from pathlib import Path

import pytest

from crqat_pipeline.inference.result_files import RESULT_FILES, FoundBy
from crqat_pipeline.inference.result_folder import OutputError, open_results

PROMPTS = ("red lamp", "stray cat")
A = {"prompt": "red lamp", "score": 0.9, "box_xyxy_px": [10.0, 20.0, 30.0, 60.0]}
B = {"prompt": "stray cat", "score": 0.5, "box_xyxy_px": [-5.0, 0.0, 50.0, 120.0]}
HEAD = {"model": "m", "prompts": list(PROMPTS)}


def run(out, found, kinds, prompts=PROMPTS, **ids):
    """found: source -> its records without "image"."""
    sources = [(Path(file), Path(file).relative_to("/photos")) for file in found]
    names = {str(file): name for file, name in sources}
    writers = [RESULT_FILES[kind](FoundBy(prompts, names, **ids)) for kind in kinds]
    with open_results(out) as folder:
        folder.check_free(writers, [file for file, _ in sources])
        folder.begin("same", sources)
        for file, records in found.items():
            for record in records[:-1]:
                folder.add({"image": file, **record})
            folder.finish(Path(file), {"image": file, **records[-1]})
        folder.write_document(HEAD, [file for file, _ in sources], writers)
    return json.loads((out / "detections.json").read_text())


def image(*rows):
    return [{"width_px": 100, "height_px": 100, "detections": list(rows)}]


FOUND = {"/photos/a.png": image(A, B), "/photos/deep/a.png": image(), "/photos/bad.png": [{"error": "is damaged"}]}


def test_coco_results_number_images_and_prompts_and_say_how(tmp_path):
    run(tmp_path, FOUND, ["coco"])
    assert json.loads((tmp_path / "coco_results.json").read_text()) == [
        {"image_id": 1, "category_id": 1, "bbox": [10.0, 20.0, 20.0, 40.0], "score": 0.9},
        {"image_id": 1, "category_id": 2, "bbox": [-5.0, 0.0, 55.0, 120.0], "score": 0.5},
    ]
    meaning = json.loads((tmp_path / "coco_images.json").read_text())
    assert [(one["id"], one["file_name"], one["width"]) for one in meaning["images"]] == [
        (1, "a.png", 100),
        (2, "deep/a.png", 100),
    ]
    assert meaning["categories"] == [{"id": 1, "name": "red lamp"}, {"id": 2, "name": "stray cat"}]


def test_ids_of_an_annotation_file_are_used_and_other_images_left_out(tmp_path):
    ids = {"image_ids": {"/photos/a.png": 17}, "category_ids": (44, 3)}
    run(tmp_path, FOUND | {"/photos/other.png": image(A)}, ["coco"], **ids)
    results = json.loads((tmp_path / "coco_results.json").read_text())
    assert [(one["image_id"], one["category_id"]) for one in results] == [(17, 44), (17, 3)]
    assert not (tmp_path / "coco_images.json").exists()


def test_a_prompt_that_stands_twice_keeps_its_categories_apart(tmp_path):
    rows = [{**A, "prompt": "bow", "label": 1}, {**A, "prompt": "bow", "label": 0}]
    run(tmp_path, {"/photos/a.png": image(*rows)}, ["coco"], ("bow", "bow"), image_ids={"/photos/a.png": 1},
        category_ids=(7, 9))  # fmt: skip
    assert [one["category_id"] for one in json.loads((tmp_path / "coco_results.json").read_text())] == [9, 7]


def test_labels_are_shares_within_the_image_and_are_read_back_by_our_own_reader(tmp_path):
    from PIL import Image

    from crqat_pipeline.detection_data.image_folder import ImageFolder
    from crqat_pipeline.detection_data.layouts.yolo_txt import read_yolo

    (tmp_path / "photos" / "deep").mkdir(parents=True)
    for name in ("a.png", "deep/a.png"):
        Image.new("RGB", (100, 100)).save(tmp_path / "photos" / name)
    document = run(tmp_path / "out", FOUND, ["yolo"])
    labels = tmp_path / "out" / "labels"
    assert (
        labels / "a.txt"
    ).read_text() == "0 0.200000 0.400000 0.200000 0.400000\n1 0.250000 0.500000 0.500000 1.000000\n"
    assert (labels / "deep" / "a.txt").read_text() == ""
    assert [one.get("labels") for one in document["images"]] == ["labels/a.txt", "labels/deep/a.txt", None]
    content = read_yolo(labels, ImageFolder(tmp_path / "photos"))
    assert [one["name"] for one in content["categories"]] == list(PROMPTS)
    assert content["annotations"][0]["bbox"] == pytest.approx([10, 20, 20, 40])


def test_two_images_of_one_name_and_an_image_named_classes_have_labels_of_their_own(tmp_path):
    found = {f"/photos/{name}": image(A) for name in ("a.png", "a.jpg", "A.webp", "classes.png")}
    run(tmp_path, found, ["yolo"])
    written = sorted(path.name for path in (tmp_path / "labels").iterdir())
    assert written == ["A.webp.txt", "a.jpg.txt", "a.txt", "classes.png.txt", "classes.txt"]


def test_frames_of_a_video_are_images_rows_and_label_files(tmp_path):
    frames = [{"frame": number, "width_px": 100, "height_px": 100, "detections": [A]} for number in (0, 5)]
    run(tmp_path, {"/photos/v.mp4": frames}, ["coco", "yolo", "csv"])
    assert sorted(path.name for path in (tmp_path / "labels").iterdir()) == ["classes.txt", "v_0.txt", "v_5.txt"]
    meaning = json.loads((tmp_path / "coco_images.json").read_text())
    assert [(one["id"], one["file_name"], one["frame"]) for one in meaning["images"]] == [
        (1, "v.mp4", 0),
        (2, "v.mp4", 5),
    ]
    rows = list(csv.DictReader((tmp_path / "detections.csv").open(newline="")))
    assert [row["frame"] for row in rows] == ["0", "5"]


def test_the_table_has_a_row_per_detection_whatever_the_words_are(tmp_path):
    strange = {**A, "prompt": 'a "b", c\nd'}
    run(tmp_path, {"/photos/a.png": image(strange), "/photos/\udcff.png": image(A)}, ["csv"])
    rows = list(csv.DictReader((tmp_path / "detections.csv").open(newline="", encoding="utf-8")))
    assert [row["prompt"] for row in rows] == ['a "b", c\nd', "red lamp"]
    assert [row["image"] for row in rows] == ["/photos/a.png", "/photos/\\xff.png"]
    assert (rows[0]["left_px"], rows[0]["bottom_px"], rows[0]["score"], rows[0]["frame"]) == ("10.0", "60.0", "0.9", "")


@pytest.mark.parametrize(
    ("kind", "name"),
    [("coco", "coco_results.json"), ("coco", "coco_images.json"), ("csv", "detections.csv"), ("yolo", "labels/a.txt"),
     ("yolo", "labels/classes.txt")],
)  # fmt: skip
def test_files_of_somebody_else_are_never_replaced_and_our_own_are(tmp_path, kind, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match="was not made by crqat detect"):
        run(tmp_path, FOUND, [kind])
    assert (tmp_path / name).read_text() == "mine"
    (tmp_path / name).unlink()
    run(tmp_path, FOUND, [kind])
    first = (tmp_path / name).read_text()
    run(tmp_path, FOUND, [kind])
    assert (tmp_path / name).read_text() == first


def test_labels_of_images_that_are_gone_go_and_others_files_stay(tmp_path):
    run(tmp_path, FOUND, ["yolo"])
    (tmp_path / "labels" / "mine.txt").write_text("mine")
    run(tmp_path, {"/photos/a.png": image(A)}, ["yolo"])
    assert not (tmp_path / "labels" / "deep" / "a.txt").exists()
    assert (tmp_path / "labels" / "mine.txt").read_text() == "mine"


def test_a_document_that_names_files_elsewhere_makes_none_of_them_ours(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    out = tmp_path / "out"
    run(out, FOUND, ["yolo"])
    text = (out / "detections.json").read_text()
    (out / "detections.json").write_text(text.replace("labels/deep/a.txt", "labels/../../mine.txt"))
    run(out, {"/photos/a.png": image(A)}, ["yolo"])
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_labels_do_not_follow_a_link_out_of_the_folder(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "labels").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="leads out of"):
        run(tmp_path / "out", FOUND, ["yolo"])
    assert list((tmp_path / "elsewhere").iterdir()) == []
