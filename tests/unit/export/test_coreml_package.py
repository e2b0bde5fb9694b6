"""A Core ML package has the student's codes and roundings. Nothing runs it outside Apple's systems."""

import pytest

from crqat_pipeline.structures.vocabulary import TextBank
from tests.support.small_students import minmax_spec, outspoken, small_inputs, small_student

pytest.importorskip("onnxruntime")
pytest.importorskip("coremltools", reason="coremltools is not installed: pip install 'crqat-pipeline[coreml]'")
from crqat_pipeline.export.coreml import write_coreml

SIDES = (64, 96)
_, TEXTS = small_inputs(1, SIDES)
BANK = TextBank(prompts=tuple("abcde"), embeddings_KD=TEXTS, encoder="drawn", is_normalized=False)


def test_gates_that_were_exchanged_come_behind_the_products(tmp_path):
    exchanged = outspoken(small_student(minmax_spec("8-8-8", pre_activation_bits=8, gate_exchange=True)))
    made = write_coreml(tmp_path / "model.mlpackage", exchanged, SIDES, BANK)
    assert made.num_operators["quantize"] == made.num_operators["dequantize"] > 50


@pytest.mark.parametrize(("bits", "small"), [("4-8-8", 50), ("8-8-8", 0)])
def test_a_package_has_the_codes_and_roundings_of_the_student(bits, small, tmp_path):
    student = outspoken(small_student(minmax_spec(bits, pre_activation_bits=8)))
    made = write_coreml(tmp_path / "model.mlpackage", student, SIDES, BANK)
    assert made.num_operators["conv"] == 54
    assert made.num_operators["constexpr_blockwise_shift_scale"] == 50
    assert made.num_operators.get("int4 weights", 0) == small
    assert made.num_operators["quantize"] == made.num_operators["dequantize"] > 50
