"""`crqat quantize`: one command from a checkpoint to a packed file and a proved graph, named by the widths."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from crqat_pipeline.cli.quantize import command
from crqat_pipeline.cli.sweep import command as sweep_command
from crqat_pipeline.detectors import build_detector
from crqat_pipeline.model_files import DetectorRow, to_checkpoint, write_checkpoint
from crqat_pipeline.model_files.packed import read_packed
from crqat_pipeline.model_files.text_bank_file import write_text_bank
from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.structures.vocabulary import TextBank

BANK = TextBank(("red lamp", "stray cat"), torch.eye(2, 64), "test", is_normalized=True)
NAME = "yolo_world_open_shapes"


@pytest.fixture
def folder(tmp_path):
    """A run's folder: a teacher of 64 px, the run's text bank, four photographs."""
    torch.manual_seed(0)
    teacher = tmp_path / "06_models" / "teacher" / "teacher.safetensors"
    teacher.parent.mkdir(parents=True)
    row = DetectorRow.of(NAME, {})
    write_checkpoint(teacher, to_checkpoint(build_detector(NAME).state_dict(), row, None, (), stage="teacher"))
    (tmp_path / "05_model_input").mkdir()
    write_text_bank(tmp_path / "05_model_input" / "text_bank.safetensors", BANK)
    (tmp_path / "photos").mkdir()
    random = np.random.default_rng(0)
    for number in range(4):
        pixels = random.integers(0, 255, (40, 60, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    return tmp_path


def run(folder, *arguments):
    teacher = folder / "06_models" / "teacher" / "teacher.safetensors"
    given = [teacher, "--images", folder / "photos", "--image-size", 64, *arguments]
    return CliRunner().invoke(command, [str(one) for one in given])


def test_eight_bits_and_four_bits_lie_side_by_side(folder):
    pytest.importorskip("onnxruntime")
    out = folder / "out"
    for bits in ("8-8-8", "4-4-8"):
        result = run(folder, "--bits", bits, "--out", out)
        assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == [
        "teacher.int4.onnx", "teacher.int4.safetensors", "teacher.int8.onnx", "teacher.int8.safetensors",
    ]  # fmt: skip
    assert "calibrated on 4 photographs at 64 px" in result.output
    assert "made for onnxruntime and OpenVINO" in result.output
    packed = read_packed(out / "teacher.int8.safetensors")
    assert packed.quantization.notation == "8-8-8 Ch-T-H"
    assert packed.text_bank.prompts == BANK.prompts
    assert (out / "teacher.int8.safetensors").stat().st_size > (out / "teacher.int4.safetensors").stat().st_size


def test_the_packed_file_alone_lies_beside_the_model(folder):
    result = run(folder, "--form", "none", "--num-images", 2)
    assert result.exit_code == 0, result.output
    assert "calibrated on 2 photographs" in result.output
    beside = {path.name for path in (folder / "06_models" / "teacher").iterdir()}
    assert beside == {"teacher.safetensors", "teacher.int8.safetensors"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--bits", "9-9-9"], "Bits must be 2 to 8"),
        (["--bits", "8"], "4-4-8"),
        (["--image-size", "100"], "multiple of 32 px; got 100. Use 128"),
        (["--vocabulary", "gone.safetensors"], "No text bank gone.safetensors"),
    ],
)
def test_wishes_that_do_not_fit_are_refused_and_nothing_is_written(folder, arguments, text):
    result = run(folder, "--form", "none", "--out", folder / "out", *arguments)
    assert result.exit_code == 1
    assert text in result.output, result.output
    assert not (folder / "out").exists()


def tree(folder):
    return {path.relative_to(folder): path.is_file() and path.read_bytes() for path in folder.rglob("*")}


PLACES = {
    "the packed file is a folder": (lambda out: (out / "teacher.int8.safetensors").mkdir(parents=True), (), "folder"),
    "the graph is a folder": (lambda out: (out / "teacher.int8.onnx").mkdir(parents=True), (), "folder"),
    "a file": (lambda out: out.write_text("x"), (), "is a file"),
    "a link to the model": (
        lambda out: (out.mkdir(), (out / "teacher.int8.safetensors").symlink_to(teacher_of(out))),
        (),
        "does not take the place of its source",
    ),
    "the vocabulary": (
        lambda out: (out.mkdir(), write_text_bank(out / "teacher.int8.safetensors", BANK)),
        ("--vocabulary", "out/teacher.int8.safetensors"),
        "does not take the place of its source",
    ),
}


def teacher_of(out):
    return out.parent / "06_models" / "teacher" / "teacher.safetensors"


@pytest.mark.parametrize("kind", PLACES)
def test_a_place_that_cannot_be_written_is_told_before_the_work_and_nothing_changes(folder, monkeypatch, kind):
    pytest.importorskip("onnxruntime")
    make, arguments, text = PLACES[kind]
    monkeypatch.chdir(folder)
    make(folder / "out")
    before = tree(folder)
    result = run(folder, "--out", folder / "out", *arguments)
    assert result.exit_code in (1, 2), result.output
    assert isinstance(result.exception, SystemExit)
    assert text in " ".join(result.output.split()), result.output
    assert tree(folder) == before


def test_a_model_without_prompts_is_told_how_to_get_some(folder):
    (folder / "05_model_input" / "text_bank.safetensors").unlink()
    result = run(folder, "--form", "none")
    assert result.exit_code == 1
    assert "calibrated on prompts" in result.output
    assert "crqat embed" in result.output


def test_a_quantized_model_is_no_teacher(folder):
    assert run(folder, "--form", "none").exit_code == 0
    packed = folder / "06_models" / "teacher" / "teacher.int8.safetensors"
    result = CliRunner().invoke(command, [str(packed), "--images", str(folder / "photos")])
    assert "Only a full-precision checkpoint can be quantized" in result.output


@pytest.mark.parametrize(
    ("bits", "mark"),
    [("4-4-8", "int4"), ("8-8-8", "int8"), ("4-8-8", "w4a8"), ("4-4-6", "w4a4t6"), ("none-none-none", "fp")],
)
def test_names_say_the_widths(bits, mark):
    assert QuantSpec.parse(bits).file_mark == mark


def test_a_sweep_scores_each_width_beside_full_precision_and_writes_nothing(folder):
    content = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 60, "height": 40} for n in range(4)],
        "annotations": [
            {"id": n + 1, "image_id": n, "category_id": 1 + n % 2, "bbox": [5, 5, 30, 20], "area": 600}
            for n in range(4)
        ],
        "categories": [{"id": 1, "name": "Red lamp"}, {"id": 2, "name": "stray cat"}],
    }
    (folder / "val.json").write_text(json.dumps(content), encoding="utf-8")
    before = sorted(folder.rglob("*"))

    def swept(*arguments):
        teacher = folder / "06_models" / "teacher" / "teacher.safetensors"
        given = [teacher, "--images", folder / "photos", "--annotations", folder / "val.json", "--image-size", 64]
        return CliRunner().invoke(sweep_command, [str(one) for one in (*given, *arguments)])

    result = swept("--bits", "8-8-8 4-4-8")
    assert result.exit_code == 0, result.output
    head, *rows = [line.split() for line in result.stdout.splitlines()]
    assert head == ["bits", "AP", "AP50", "MB", "GBOPs"]
    assert [row[0] for row in rows] == ["full", "8-8-8", "4-4-8"]
    sizes = [float(row[-2]) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    assert sorted(folder.rglob("*")) == before
    content["categories"][1]["name"] = "tin can"
    (folder / "val.json").write_text(json.dumps(content), encoding="utf-8")
    assert "do not: 'tin can'" in swept().output
    assert "three fields" in swept("--bits", "8").output
