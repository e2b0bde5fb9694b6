"""Only a graph that computes the student's integers gets its name."""

import copy

import pytest

from crqat_pipeline.export.bias_alignment import align_biases
from crqat_pipeline.export.onnx import OnnxSpec
from crqat_pipeline.export.parity_report import CodeRow, ParityReport, joined
from crqat_pipeline.export.verified_onnx import check_parity, write_verified_onnx
from tests.support.small_students import minmax_spec, small_detector, small_inputs, small_student

pytest.importorskip("onnxruntime")
BATCHES = [small_inputs(2)[0], small_inputs(1, seed=5)[0]]


def report(**changes):
    facts = {
        "runtime": "onnxruntime",
        "num_images": 2,
        "rows": (CodeRow("a", 10, 2, 2, 1),),
        "largest_score_difference": 1e-6,
        "largest_box_difference_px": 1e-4,
        "integer_convolutions": 3,
        "float_convolutions": 1,
    }
    return ParityReport(**(facts | changes))


@pytest.mark.parametrize("bits", ["4-4-8", "4-8-8", "8-8-8"])
def test_the_fast_form_of_an_aligned_student_is_written(bits, tmp_path):
    student = copy.deepcopy(small_student(minmax_spec(bits, pre_activation_bits=8)))
    assert align_biases(student) == 50
    written = write_verified_onnx(tmp_path / "m.onnx", student, BATCHES)
    assert (written.file.path, written.file.form) == (tmp_path / "m.onnx", "fast")
    assert written.file.file_bytes == (tmp_path / "m.onnx").stat().st_size
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    parity = written.parity
    assert (parity.num_images, parity.num_unexplained) == (3, 0)
    assert (parity.integer_convolutions, parity.float_convolutions) == (50, 7)


def test_a_graph_that_disagrees_is_not_kept_and_its_layers_are_named(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"the file from before")
    student = small_student(minmax_spec(pre_activation_bits=8))
    with pytest.raises(ValueError, match=r"(?s)m\.onnx \(form fast, onnxruntime\).*output_quantizer: \d+ of.*align"):
        write_verified_onnx(tmp_path / "m.onnx", student, BATCHES)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    assert (tmp_path / "m.onnx").read_bytes() == b"the file from before"


def test_the_fp32_form_of_a_student_is_held_against_it_without_quantizers(tmp_path):
    student = small_student(minmax_spec())
    written = write_verified_onnx(tmp_path / "m.onnx", student, BATCHES, OnnxSpec(form="fp32"))
    assert written.parity.rows == ()
    assert written.parity.largest_box_difference_px < 1e-3
    assert student.backbone.stage1.down.conv.weight_quantizer.is_on


def test_wishes_that_cannot_be_proved_are_refused_before_anything_is_written(tmp_path):
    student = small_student(minmax_spec(pre_activation_bits=8))
    with pytest.raises(ValueError, match="leaves out pre-activation quantizers"):
        write_verified_onnx(tmp_path / "m.onnx", student, BATCHES, OnnxSpec(form="openvino"))
    with pytest.raises(ValueError, match="on images; got none"):
        write_verified_onnx(tmp_path / "m.onnx", small_detector(), [])
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_are_too_far_apart_are_refused():
    check_parity(report(), "m.onnx", "spec")
    for changes in ({"largest_box_difference_px": 0.06}, {"largest_score_difference": float("nan")}):
        with pytest.raises(ValueError, match=r"boxes within 0\.05 px and scores within 0\.001; m\.onnx \(form spec"):
            check_parity(report(**changes), "m.onnx", "spec")
    with pytest.raises(ValueError, match=r"in 1 of 1 quantizers, and was not kept:\n  a: 1 of 10 codes, by at most 4"):
        check_parity(report(rows=(CodeRow("a", 10, 3, 2, 4),)), "m.onnx", "spec")


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("name", ["largest_box_difference_px", "largest_score_difference"])
def test_nan_in_any_batch_is_refused(name, place):
    reports = [report(), report(), report()]
    reports[place] = report(**{name: float("nan")})
    with pytest.raises(ValueError, match="nan"):
        check_parity(joined(reports), "m.onnx", "spec")


@pytest.mark.parametrize("batch", [0, 1])
def test_a_detector_that_computes_nan_is_not_exported(tmp_path, batch):
    """One image with NaN is enough, whichever batch it is in."""
    batches = [images.clone() for images in BATCHES]
    batches[batch][0, 0, 3, 5] = float("nan")
    for detector in (small_detector(), small_student(minmax_spec())):
        with pytest.raises(ValueError, match="was not kept"):
            write_verified_onnx(tmp_path / "m.onnx", detector, batches)
        assert list(tmp_path.iterdir()) == []


def test_reports_of_batches_add_up():
    more = report(rows=(CodeRow("a", 30, 1, 0, 4),), num_images=6, largest_box_difference_px=0.5)
    whole = joined([report(), more])
    assert whole == report(rows=(CodeRow("a", 40, 3, 2, 4),), num_images=8, largest_box_difference_px=0.5)
    assert (whole.num_codes, whole.num_mismatches, whole.num_unexplained) == (40, 3, 1)
    assert "a: 3 of 40, 2 ties, by at most 4" in str(whole)
