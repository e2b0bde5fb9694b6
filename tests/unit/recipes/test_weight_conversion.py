"""`crqat weights` takes a checkpoint of ours at its word, and tells detectors of equal widths apart."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from safetensors.torch import save_file

from crqat_pipeline.cli.weights import command
from crqat_pipeline.detectors import build_detector
from crqat_pipeline.detectors.foreign_weights import read_foreign_weights
from crqat_pipeline.model_files import DetectorRow, read_checkpoint, to_checkpoint, write_checkpoint, write_packed
from tests.support.small_students import NAME, minmax_spec, small_student

SMALL = ("yolo_world_open_shapes", "yolo_world_open_shapes_2", "dosod_open_shapes")


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(command, [str(one) for one in arguments])
    return result.exit_code, result.output


@pytest.mark.parametrize("name", SMALL)
def test_a_checkpoint_of_ours_says_what_it_is_and_is_written_anew(tmp_path: Path, name: str) -> None:
    detector = build_detector(name)
    path, out = tmp_path / "teacher.safetensors", tmp_path / "again.safetensors"
    write_checkpoint(path, to_checkpoint(detector.state_dict(), DetectorRow.of(name, {}), None, (), stage="teacher"))
    code, text = run(path, "--out", out)
    assert code == 0, text
    assert f"detector {name}\n" in text
    assert "stage     teacher" in text
    assert read_checkpoint(out).metadata == read_checkpoint(path).metadata
    assert out.read_bytes() == path.read_bytes()


def test_a_quantized_student_keeps_its_widths(tmp_path: Path) -> None:
    spec = minmax_spec()
    student = small_student(spec)
    row = DetectorRow(name=NAME, options={"version": 2})
    path = tmp_path / "student.safetensors"
    write_checkpoint(path, to_checkpoint(student.state_dict(), row, spec, tuple(student.parts)))
    code, text = run(path)
    assert code == 0, text
    assert f"precision {spec.notation} in backbone, neck, head" in text
    packed = tmp_path / "packed.safetensors"
    write_packed(packed, student, detector_name=NAME, detector_options=row.options, quantization=spec)
    code, text = run(packed)
    assert (code, "a packed file" in text) == (1, True)


@pytest.mark.parametrize("name", SMALL[:2])
def test_bare_tensors_of_equal_widths_are_told_apart_by_their_shapes(tmp_path: Path, name: str) -> None:
    save_file(dict(build_detector(name).state_dict()), tmp_path / "bare.safetensors")
    assert read_foreign_weights(tmp_path / "bare.safetensors").detector_name == name
