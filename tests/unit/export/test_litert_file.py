"""A LiteRT file is the student, code for code, in the interpreter that phones have."""

import copy

import numpy as np
import pytest
import torch

from crqat_pipeline.detectors.common.selection import select_detections
from crqat_pipeline.export.bias_alignment import align_biases
from crqat_pipeline.export.vendor.folder import without_heads
from crqat_pipeline.inference.model_file import open_model
from crqat_pipeline.structures.vocabulary import TextBank
from tests.support.small_students import minmax_spec, outspoken, small_inputs, small_student

pytest.importorskip("onnxruntime")
pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed: pip install 'crqat-pipeline[litert]'")
from crqat_pipeline.export.litert import write_litert

SIDES = (64, 96)
IMAGES, TEXTS = small_inputs(1, SIDES)
BANK = TextBank(prompts=tuple("abcde"), embeddings_KD=TEXTS, encoder="drawn", is_normalized=False)


def student(bits):
    return outspoken(small_student(minmax_spec(bits, pre_activation_bits=8)))


@pytest.mark.parametrize("bits", ["8-8-8", "4-8-8", "4-4-8"])
def test_the_interpreter_computes_the_codes_of_the_student(bits, tmp_path):
    made = write_litert(tmp_path / "model.tflite", student(bits), [IMAGES], SIDES, BANK)
    assert made.parity.num_codes > 100_000
    assert made.parity.num_unexplained == 0
    assert made.parity.largest_box_difference_px < 1e-2
    assert (made.num_integer_convolutions, made.num_float_convolutions) == (50, 4)


def test_gates_that_were_exchanged_come_behind_the_products(tmp_path):
    exchanged = outspoken(small_student(minmax_spec("8-8-8", pre_activation_bits=8, gate_exchange=True)))
    made = write_litert(tmp_path / "model.tflite", exchanged, [IMAGES], SIDES, BANK)
    assert made.parity.num_unexplained == 0
    assert made.parity.largest_box_difference_px < 1e-2


def test_a_file_detects_what_its_student_detects(tmp_path):
    detector = student("8-8-8")
    path = write_litert(tmp_path / "model.tflite", detector, [IMAGES], SIDES, BANK).path
    model = open_model(path)
    assert (model.facts.image_size_px, model.facts.fixed_prompts) == (SIDES, BANK.prompts)
    wish = {"score_threshold": 0.1, "max_detections": 20}
    found = model.detect(torch.cat([IMAGES, IMAGES.flip(3)]), TEXTS, **wish)
    aligned = copy.deepcopy(detector)
    align_biases(aligned, is_coarse=True)
    with torch.no_grad():
        output = without_heads(aligned)(IMAGES, TEXTS)
    logits, boxes = output.class_logits_BNK[0], output.boxes_BN4[0]
    expected = select_detections(logits, boxes, 0.1, 20, detector.selection)
    assert len(found) == 2
    assert len(expected.scores_M) > 0
    np.testing.assert_allclose(found[0].boxes_M4, expected.boxes_M4, atol=1e-2)
    np.testing.assert_allclose(found[0].scores_M, expected.scores_M, atol=1e-4)


def test_four_bits_stored_as_such_halve_the_file_and_round_by_one_code_at_most(tmp_path):
    whole, halved = (
        write_litert(
            tmp_path / f"{is_small}.tflite", student("4-8-8"), [IMAGES], SIDES, BANK, has_int4_weights=is_small
        )
        for is_small in (False, True)
    )
    assert halved.file_bytes < 0.7 * whole.file_bytes
    assert whole.rounding is None
    assert 0 < halved.rounding.num_mismatches < 0.03 * halved.rounding.num_codes
    assert max(row.largest_difference for row in halved.rounding.rows) == 1


def test_an_altered_file_is_refused(tmp_path):
    path = write_litert(tmp_path / "model.tflite", student("8-8-8"), [IMAGES], SIDES, BANK).path
    content = bytearray(path.read_bytes())
    place = content.find(b"serving_default") + 3
    content[place] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="was altered"):
        open_model(path)
