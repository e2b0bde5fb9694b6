"""The exported graphs compute the student's integers, in both runtimes."""

import pytest
import torch

from crqat_pipeline.export.onnx import OnnxSpec, write_onnx
from crqat_pipeline.export.parity import check_codes

pytest.importorskip("onnxruntime")
NUM_CONVOLUTIONS = {1: 60, 2: 57}
NUM_EDGES = 7


def checked(student, inputs, tmp_path, form, runtime="onnxruntime"):
    write_onnx(tmp_path / "m.onnx", student, OnnxSpec(form=form))
    return check_codes(tmp_path / "m.onnx", student, *inputs, runtime)


@pytest.mark.parametrize("version", [1, 2])
def test_the_fast_form_of_an_aligned_student_has_no_mismatch_and_runs_on_integers(
    make_student, inputs, tmp_path, version
):
    report = checked(make_student(version, is_aligned=True, pre_activation_bits=8), inputs, tmp_path, "fast")
    assert report.num_unexplained == 0, str(report)
    assert report.num_mismatches <= 3, str(report)
    assert report.num_codes > 300_000
    assert report.float_convolutions == NUM_EDGES
    assert report.integer_convolutions == NUM_CONVOLUTIONS[version] - NUM_EDGES
    assert report.largest_box_difference_px < 1e-4
    assert report.largest_score_difference < 1e-6


def test_the_fast_form_of_exchanged_gates_has_no_mismatch(make_student, inputs, tmp_path):
    student = make_student(2, is_aligned=True, pre_activation_bits=8, gate_exchange=True)
    report = checked(student, inputs, tmp_path, "fast")
    assert report.num_unexplained == 0, str(report)
    assert report.num_mismatches <= 3, str(report)
    num_exits = 4  # a sum follows their products, which onnxruntime then leaves in floating point
    assert report.integer_convolutions == NUM_CONVOLUTIONS[2] - NUM_EDGES - num_exits


def test_biases_that_are_not_aligned_move_few_codes_by_one(make_student, inputs, tmp_path):
    report = checked(make_student(pre_activation_bits=8), inputs, tmp_path, "fast")
    assert 0 < report.num_mismatches < 0.003 * report.num_codes, str(report)
    assert max(row.largest_difference for row in report.rows) == 1


MIXED = (
    {"layers": "backbone", "activation": 8},
    {"layers": "backbone.stage1*", "weight": 3, "activation": 6},
    {"layers": "neck", "weight": 5},
    {"layers": "edges", "weight": 8, "activation": 8},
    {"layers": "similarity", "activation": 8},
)


@pytest.mark.parametrize(
    ("form", "version", "options"),
    [
        ("spec", 1, {}),
        ("spec", 2, {"pre_activation_bits": 8}),
        ("openvino", 1, {}),
        ("tensorrt", 1, {}),
        ("tensorrt", 2, {"pre_activation_bits": 8}),
        ("fast", 2, {"narrow_weight_range": False}),
        ("fast", 2, {"weight_symmetric": False, "activation_symmetric": True}),
        ("fast", 2, {"weight_bits": 8, "activation_bits": 8, "attention_granularity": "T"}),
        ("fast", 2, {"widths": MIXED}),
        ("spec", 2, {"gate_exchange": True}),
        ("tensorrt", 2, {"gate_exchange": True, "pre_activation_bits": 8}),
        ("openvino", 2, {"gate_exchange": True}),
        ("spec", 2, {"widths": MIXED}),
        ("openvino", 1, {"widths": MIXED}),
        ("tensorrt", 2, {"widths": MIXED}),
    ],
)
def test_every_form_in_onnxruntime(make_student, inputs, tmp_path, form, version, options):
    report = checked(make_student(version, **options), inputs, tmp_path, form)
    assert report.num_unexplained == 0, str(report)
    assert report.num_mismatches <= 3, str(report)
    assert report.largest_box_difference_px < 1e-4


@pytest.mark.parametrize("form", ["openvino", "spec"])
def test_openvino_runs_its_form_on_integers_without_a_mismatch(make_student, inputs, tmp_path, form):
    pytest.importorskip("openvino")
    report = checked(make_student(2), inputs, tmp_path, form, "openvino")
    assert report.num_unexplained == 0, str(report)
    assert report.integer_convolutions == (50 if form == "openvino" else 0)
    assert report.largest_box_difference_px < 1e-4


def test_openvino_computes_version_1_with_pre_activation_quantizers(make_student, inputs, tmp_path):
    """Slices whose bounds came from the shape of a quantized convolution's output made it mix up channel scales."""
    pytest.importorskip("openvino")
    student = make_student(1, is_aligned=True, pre_activation_bits=8)
    report = checked(student, inputs, tmp_path, "fast", "openvino")
    assert report.num_unexplained == 0, str(report)
    assert report.integer_convolutions == NUM_CONVOLUTIONS[1] - NUM_EDGES
    assert report.largest_box_difference_px < 1e-4


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_eight_bit_students_are_right_on_every_cpu(make_student, inputs, tmp_path, runtime):
    """Signed 8-bit weights give wrong sums on CPUs without VNNI, in both runtimes."""
    pytest.importorskip(runtime)
    student = make_student(2, weight_bits=8, activation_bits=8)
    report = checked(student, inputs, tmp_path, "openvino", runtime)
    assert report.num_unexplained == 0, str(report)


def test_a_student_quantized_in_part_exports_its_backbone_as_integers(make_student, inputs, tmp_path):
    from crqat_pipeline.quantization import set_quantized

    student = make_student(2, is_aligned=True, pre_activation_bits=8)
    set_quantized(student, ["backbone"])
    report = checked(student, inputs, tmp_path, "fast")
    assert report.num_unexplained == 0
    assert report.integer_convolutions == 22


def test_an_altered_code_is_found_in_its_layer(make_student, inputs, tmp_path):
    student = make_student(2, is_aligned=True, pre_activation_bits=8)
    write_onnx(tmp_path / "m.onnx", student, OnnxSpec(form="fast"))
    layer = student.backbone.stage3.down.conv
    with torch.no_grad():
        layer.weight[0, 0, 0, 0] += 3 * layer.weight_quantizer.scale[0]
    report = check_codes(tmp_path / "m.onnx", student, *inputs)
    wrong = [row.quantizer for row in report.rows if row.num_mismatches > row.num_ties]
    assert wrong == ["backbone.stage3.down.bn.output_quantizer"]
    assert wrong[0] in str(report)


def test_a_foreign_file_is_refused(inputs, make_student, tmp_path):
    from onnx import helper, save

    save(helper.make_model(helper.make_graph([], "g", [], [])), tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="of another program"):
        check_codes(tmp_path / "m.onnx", make_student(2), *inputs)
