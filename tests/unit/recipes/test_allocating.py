"""Widths for a checkpoint: from photographs and prompts to rules that quantize it again."""

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from PIL import Image

from crqat_pipeline.cli import crqat
from crqat_pipeline.model_files import read_packed, write_checkpoint
from crqat_pipeline.model_files.detector_row import DetectorRow
from crqat_pipeline.model_files.rebuilding import to_checkpoint
from crqat_pipeline.model_files.text_bank_file import write_text_bank
from crqat_pipeline.recipes.widths_file import read_options
from crqat_pipeline.structures.vocabulary import TextBank
from tests.support.small_students import NAME, small_detector


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("allocate")
    row = DetectorRow.of(NAME, {"version": 2})
    write_checkpoint(folder / "teacher.safetensors", to_checkpoint(small_detector().state_dict(), row, None, ()))
    generator = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for number in range(2):
        pixels = generator.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{number}.png")
    embeddings = torch.randn(6, 64, generator=torch.Generator().manual_seed(0))
    write_text_bank(folder / "bank.safetensors", TextBank(tuple("abcdef"), embeddings, "test", is_normalized=False))
    return folder


def run(*words):
    return CliRunner().invoke(crqat, [str(word) for word in words])


def given(command, files, *more):
    """Of the checkpoint, with its photographs and words."""
    images, bank = files / "photos", files / "bank.safetensors"
    common = ("--images", images, "--vocabulary", bank, "--image-size", 64, "--bits", "4-8-8")
    return run(command, files / "teacher.safetensors", *common, *more)


def allocate(files, *more):
    return given("allocate", files, "--prompts", 6, *more)


def test_the_file_of_widths_quantizes_the_checkpoint(files):
    out = files / "widths.yml"
    done = allocate(files, "--menu", "npu", "--out", out)
    assert done.exit_code == 0, done.output
    widths = yaml.safe_load(out.read_text())["quantization"]["widths"]
    assert {width["activation"] for width in widths.values()} <= {8, "none"}
    assert [rule.layers for rule in read_options([str(out), "edges=8"])] == [*widths, "edges"]
    made = given("quantize", files, "--widths", out, "--form", "none", "--out", files / "out")
    assert made.exit_code == 0, made.output
    packed = read_packed(next((files / "out").glob("*mixed*.safetensors")))
    assert {rule.layers for rule in packed.quantization.widths} == set(widths)


def test_a_budget_below_the_smallest_is_refused_before_anything_is_written(files):
    done = allocate(files, "--menu", "npu", "--size-mb", "0.3", "--out", files / "never.yml")
    assert done.exit_code == 1
    assert "The smallest size is" in done.output or "stays in full precision alone" in done.output
    assert not (files / "never.yml").exists()


@pytest.mark.parametrize("text", ["nonsense", "quantization: 3", "quantization: {widths: {edges: 11}}", "[1"])
def test_a_file_without_widths_is_named(tmp_path, text):
    (tmp_path / "w.yml").write_text(text)
    with pytest.raises(ValueError, match=r"w\.yml holds no widths"):
        read_options([str(tmp_path / "w.yml")])
