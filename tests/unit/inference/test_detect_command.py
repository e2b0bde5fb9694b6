import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from crqat_pipeline.cli.detect import command
from crqat_pipeline.detectors import build_detector
from crqat_pipeline.export.onnx import OnnxSpec, write_onnx
from crqat_pipeline.model_files.packed import write_packed
from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized
from crqat_pipeline.structures.vocabulary import TextBank

BANK = TextBank(("red lamp", "stray cat"), torch.eye(2, 64), "test", is_normalized=True)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The same student as a packed file, and as an ONNX model."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    detector = build_detector("yolo_world_open_shapes").eval()
    for branch in detector.head.embedding_branches:  # untrained, all scores are equal to six digits
        branch[-1].weight.data.mul_(1e7)
    spec = QuantSpec.parse("4-4-8", activation_initialization="minmax", weight_initialization="minmax")
    prepare(detector, spec)
    calibrate(detector, [(torch.rand(1, 3, 64, 64), BANK.embeddings_KD)], list(detector.parts))
    set_quantized(detector, list(detector.parts))
    row = {"detector_name": "yolo_world_open_shapes", "detector_options": {}, "quantization": spec}
    extra = {"image_size_px": 64}
    packed, onnx = folder / "m.int4.safetensors", folder / "m.onnx"
    write_packed(packed, detector, **row, text_bank=BANK, extra_metadata=extra)
    write_onnx(onnx, detector, OnnxSpec(form="openvino"), text_bank=BANK, extra_metadata=extra)
    return {"packed": packed, "onnx": onnx}


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    noise = np.random.default_rng(0)
    for name in ("a.png", "b.jpg", "deep/a.png"):
        Image.fromarray(noise.integers(0, 255, (40, 60, 3), np.uint8)).save(folder / name)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    (folder / "notes.txt").write_text("not looked at")
    return folder


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


@pytest.mark.parametrize("kind", ["packed", "onnx"])
def test_a_folder_is_drawn_and_a_broken_image_does_not_stop_it(models, pictures, tmp_path, kind):
    result = run(models[kind], pictures, "--threshold", 0.0001, "--max-detections", 7, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "broken.jpg is" in result.stderr
    document = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert document["prompts"] == ["red lamp", "stray cat"]
    found = {record["image"].rpartition("pictures/")[2]: record for record in document["images"]}
    assert set(found) == {"a.png", "b.jpg", "broken.jpg", "deep/a.png"}
    assert "error" in found["broken.jpg"]
    first = found["a.png"]
    assert (first["width_px"], first["height_px"], len(first["detections"])) == (60, 40, 7)
    assert set(first["detections"][0]) == {"prompt", "score", "box_xyxy_px"}
    assert sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")) == [
        "a.png",
        "b.jpg",
        "deep/a.png",
        "detections.json",
    ]


def test_packed_file_and_onnx_model_find_the_same(models, pictures):
    documents = []
    for kind in ("packed", "onnx"):
        result = run(models[kind], pictures / "a.png", "--prompts", "stray cat", "--threshold", 0.0001, "--json")
        assert result.exit_code == 0, result.output
        documents.append(json.loads(result.stdout)["images"][0]["detections"])
    assert len(documents[0]) > 10
    boxes = [sorted(row["box_xyxy_px"] for row in rows) for rows in documents]
    np.testing.assert_allclose(boxes[0], boxes[1], atol=0.02)


def test_a_video_is_read_by_frames(models, tmp_path):
    cv2 = pytest.importorskip("cv2")
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for index in range(5):
        writer.write(np.full((48, 64, 3), 40 * index, np.uint8))
    writer.release()
    result = run(models["packed"], tmp_path / "v.avi", "--every", 2, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    records = json.loads((tmp_path / "out" / "detections.json").read_text())["images"]
    assert [(record["frame"], record["time_s"]) for record in records] == [(0, 0.0), (2, 0.2), (4, 0.4)]
    assert (tmp_path / "out" / "v.mp4").stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--json", "--prompts", "zebra"], "No embeddings for 'zebra'"),
        (["--json", "--prompts", "a,,b"], "must be texts that name something"),
        (["--json", "--vocabulary", "lvis"], "Unknown vocabulary 'lvis'. Vocabularies at hand: model"),
        (["--json", "--image-size", "70"], "multiple of 32 px; got 70"),
        ([], "Say where results go"),
    ],
)
def test_wishes_that_do_not_fit_are_explained(models, pictures, tmp_path, arguments, text):
    result = run(models["packed"], pictures / "a.png", "--vocabulary-folder", tmp_path, *arguments)
    assert result.exit_code in (1, 2)
    assert text in result.output
    assert "Traceback" not in result.output


def test_missing_files_and_empty_folders_are_named(models, tmp_path):
    assert "No file" in run(models["packed"], tmp_path / "gone.png", "--json").output
    assert "No images in folder" in run(models["packed"], tmp_path, "--json").output
    assert "No model file" in run(tmp_path / "gone.onnx", tmp_path, "--json").output


def test_results_of_the_same_name_do_not_overwrite_each_other(models, pictures, tmp_path):
    result = run(models["packed"], pictures / "a.png", pictures / "deep" / "a.png", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "a-2.png").is_file()


def test_prompts_come_from_a_file_of_lines(models, pictures, tmp_path):
    (tmp_path / "prompts.txt").write_bytes("\ufeffstray cat\n\n# not this\n red lamp \nstray cat\n".encode())
    asked = (models["packed"], pictures / "a.png", "--json")
    result = run(*asked, "--prompts-file", tmp_path / "prompts.txt")
    assert json.loads(result.stdout)["prompts"] == ["stray cat", "red lamp"]
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    for name, text in (
        ("empty.txt", "names nothing"),
        ("binary.txt", "no text in UTF-8"),
        ("gone.txt", "No file of prompts"),
    ):
        result = run(*asked, "--prompts-file", tmp_path / name)
        assert result.exit_code == 1
        assert text in result.output
        assert name in result.output
    assert run(*asked, "--prompts-file", tmp_path / "prompts.txt", "--prompts", "red lamp").exit_code == 2


def test_an_address_of_this_machine_is_refused_and_the_others_go_on(models, pictures, tmp_path):
    address = "http://127.0.0.1:9/picture.png"
    result = run(models["packed"], address, pictures / "a.png", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert f"{address} leads to 127.0.0.1, which is this machine" in result.stderr
    document = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert [record["image"] for record in document["images"]] == [str(pictures / "a.png"), address]
    assert "ftp://x/y.png" in run(models["packed"], "ftp://x/y.png", "--json").output


def test_a_rectangle_is_found_in_as_well(models, pictures):
    asked = (models["packed"], pictures / "a.png", "--json", "--threshold", 0.0001)
    document = json.loads(run(*asked, "--image-size", "64x96").stdout)
    assert document["images"][0]["detections"]
    assert "multiple of 32" in run(*asked, "--image-size", "60x96").output
    assert "is no size" in run(*asked, "--image-size", "wide").output


def test_what_is_found_feeds_the_scoring_and_other_tools(models, pictures, tmp_path):
    """Ids of the annotation file, joined by name: images in folders, categories in another order than the prompts'."""
    from crqat_pipeline.cli.evaluate import command as evaluate_command

    (pictures / "broken.jpg").unlink()
    names = {30: "deep/a.png", 10: "a.png", 20: "b.jpg"}
    truth = {
        "images": [{"id": number, "file_name": name, "width": 60, "height": 40} for number, name in names.items()],
        "annotations": [
            {"id": n, "image_id": n * 10, "category_id": 5, "bbox": [4, 4, 20, 20], "area": 400, "iscrowd": 0}
            for n in (1, 2, 3)
        ],
        "categories": [{"id": 5, "name": "Stray cat"}, {"id": 9, "name": "red lamp"}],
    }
    (tmp_path / "val.json").write_text(json.dumps(truth), encoding="utf-8")
    out = tmp_path / "out"
    asked = [models["packed"], pictures, "--threshold", 0.0001, "--out", out, "--annotations", tmp_path / "val.json"]
    result = run(*asked, "--write", "coco", "--write", "yolo", "--write", "csv")
    assert result.exit_code == 0, result.output
    document = json.loads((out / "detections.json").read_text())
    assert document["prompts"] == ["Stray cat", "red lamp"]
    found = json.loads((out / "coco_results.json").read_text())
    assert len(found) == sum(len(record["detections"]) for record in document["images"])
    assert {one["image_id"] for one in found} == {10, 20, 30}
    assert {one["category_id"] for one in found} <= {5, 9}
    assert (out / "labels" / "classes.txt").read_text() == "Stray cat\nred lamp\n"
    assert len((out / "detections.csv").read_text().splitlines()) == len(found) + 1
    given = ["--gt", tmp_path / "val.json", "--detections", out / "coco_results.json", "--protocol", "coco", "--json"]
    scored = CliRunner().invoke(evaluate_command, [str(one) for one in (*given, "--processes", 1)])
    assert scored.exit_code == 0, scored.output
    assert json.loads(scored.stdout)["AP"] >= 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--json", "--write", "coco"], "add --out DIR"),
        (["--out", "o", "--write", "xml"], "is not one of 'coco', 'csv', 'yolo'"),
        (["--out", "o", "--annotations", "gone.json"], "gone.json"),
    ],
)
def test_wishes_for_files_that_do_not_fit_are_explained(models, pictures, tmp_path, monkeypatch, arguments, text):
    monkeypatch.chdir(tmp_path)
    result = run(models["packed"], pictures, *arguments)
    assert result.exit_code in (1, 2)
    assert text in result.output
