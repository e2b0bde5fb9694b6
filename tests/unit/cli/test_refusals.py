"""What every command says when it cannot do what was asked: one sentence, exit code 1 or 2, no traceback."""

import pytest
from click.testing import CliRunner

from crqat_pipeline.cli import crqat

DETECTOR = ("cost", "--detector", "yolo_world_open_shapes")
LARGE = str(10**30)


def run(*arguments):
    return CliRunner().invoke(crqat, list(map(str, arguments)))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((*DETECTOR, "--version", LARGE), "Refused: version: "),
        ((*DETECTOR, "--bits", "99-99-99"), "Bits must be 2 to 8"),
        ((*DETECTOR, "--prompts", 10**12), "not in the range"),
        ((*DETECTOR, "--image-size", LARGE), "not in the range"),
        ((*DETECTOR, "--image-size", 33), "multiple of 32"),
        (("detect", "m.onnx", "x.jpg", "--json", "--threshold", "nan"), "nan is no finite number"),
        (("detect", "m.onnx", "x.jpg", "--json", "--max-detections", LARGE), "not in the range"),
        (("export", "m.safetensors", "--out", "x.onnx", "--nms", LARGE), "not in the range"),
        (("export", "m.safetensors", "--out", "x.onnx", "--threshold", "nan"), "nan is no finite number"),
        (("weights", "a#sha256=00"), "sha256=<64 hex digits>"),
    ],
)
def test_numbers_beyond_use_are_one_sentence(arguments, text):
    result = run(*arguments)
    assert result.exit_code in (1, 2)
    assert isinstance(result.exception, SystemExit)
    assert text in result.output
    assert "errors.pydantic.dev" not in result.output


@pytest.mark.parametrize(
    "target", ["folder.safetensors", "file/x.safetensors", "source.safetensors", "link.safetensors"]
)
def test_where_weights_go_is_looked_at_before_they_are_read(tmp_path, target):
    source = tmp_path / "source.safetensors"
    source.write_text("not looked at")
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "link.safetensors").symlink_to(source)
    result = run("weights", source, "--out", tmp_path / target)
    assert result.exit_code == 1
    assert "Could not write" in result.output or "does not take the place of its source" in result.output
    assert source.read_text() == "not looked at"
