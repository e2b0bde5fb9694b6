"""`crqat export --form vendor`: the folder, and wishes that cannot be granted."""

import pytest
import torch
from click.testing import CliRunner

from crqat_pipeline.cli.export import command
from crqat_pipeline.detectors import build_detector
from crqat_pipeline.model_files.packed import write_packed
from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized
from crqat_pipeline.structures.vocabulary import TextBank

pytest.importorskip("onnxruntime")
BANK = TextBank(("red lamp", "stray cat"), torch.eye(2, 64), "test", is_normalized=True)
NAME = "yolo_world_open_shapes"


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    torch.manual_seed(0)
    detector = build_detector(NAME).eval()
    spec = QuantSpec.parse("8-8-8", activation_initialization="minmax", weight_initialization="minmax")
    prepare(detector, spec)
    calibrate(detector, [(torch.rand(1, 3, 64, 64), BANK.embeddings_KD)], list(detector.parts))
    set_quantized(detector, list(detector.parts))
    path = tmp_path_factory.mktemp("model") / "m.int8.safetensors"
    row = {"detector_name": NAME, "detector_options": {}, "quantization": spec}
    write_packed(path, detector, **row, text_bank=BANK, extra_metadata={"image_size_px": 64})
    return path


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_a_packed_file_becomes_a_folder_for_toolchains(packed, tmp_path):
    out = tmp_path / "vendor"
    result = run(
        packed,
        "--out",
        out,
        "--form",
        "vendor",
        "--opset",
        12,
        "--num-images",
        1,
        "--fixed-vocabulary",
        "--image-size",
        "64x96",
    )
    assert result.exit_code == 0, result.output
    first, second, warning, _, parity, *_ = result.output.splitlines()
    assert warning.startswith("warning: attention")
    assert first.startswith(f"wrote {out}: form vendor, opset 12, model of ")
    assert second.startswith("ranges of ")
    assert "(0 of them no ties)" in parity
    names = {path.name for path in out.iterdir()}
    assert names == {"model.onnx", "model.encodings", "tensorrt.cache", "rknn_quantization.cfg"}


def test_old_opsets_and_options_of_graphs_have_their_forms(packed, tmp_path):
    result = run(packed, "--out", tmp_path / "m.onnx", "--opset", 13)
    assert result.exit_code == 1
    assert "opset" in result.output
    result = run(packed, "--out", tmp_path / "v", "--form", "vendor", "--static", "--nms", 3)
    assert result.exit_code == 1
    assert "got --static, --nms. Leave it out" in result.output
    result = run(packed, "--out", tmp_path / "v", "--form", "vendor", "--opset", 20)
    assert result.exit_code == 1
    assert not (tmp_path / "v").exists()


def test_a_file_is_no_folder(packed, tmp_path):
    (tmp_path / "taken").write_text("mine")
    result = run(packed, "--out", tmp_path / "taken", "--form", "vendor")
    assert result.exit_code == 1
    assert "is a file. Name another place" in result.output
    assert (tmp_path / "taken").read_text() == "mine"
