"""Answers move by what is on, and by nothing else; every switch is back where it was."""

from __future__ import annotations

import pytest
import torch

from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized
from crqat_pipeline.quantization.parts import quantizers
from crqat_pipeline.sensitivity.answers import answers_of, movement
from crqat_pipeline.sensitivity.leave_one_in import alone, movements
from tests.support.toy_detector import ToyDetector, toy_inputs

PARTS = ("backbone", "neck", "head")


@pytest.fixture
def student() -> ToyDetector:
    torch.manual_seed(0)
    detector = ToyDetector()
    prepare(detector, QuantSpec.parse("3-3-8", activation_initialization="minmax"))
    calibrate(detector, [toy_inputs()], PARTS)
    set_quantized(detector, ("backbone", "neck"))
    return detector


def test_exactly_these_are_on_and_afterwards_all_are_as_they_were(student):
    before = {name: quantizer.is_on for name, quantizer in quantizers(student)}
    with alone(student, ["head.hidden.weight_quantizer"]):
        assert [name for name, quantizer in quantizers(student) if quantizer.is_on] == ["head.hidden.weight_quantizer"]
    assert {name: quantizer.is_on for name, quantizer in quantizers(student)} == before


def test_movements_are_from_the_same_student_with_everything_off(student):
    batches = [toy_inputs(2, seed=3), toy_inputs(1, seed=4)]
    coarse, fine = "backbone.conv.weight_quantizer", "neck.product.map_operand"
    subjects = {"none": (), "coarse": (coarse,), "fine": (fine,), "both": (coarse, fine), "again": (fine, coarse)}
    student.train()
    found = movements(student, subjects, batches, "toy")
    assert student.training
    with alone(student, ()):
        answers = answers_of(student, batches)
        assert movement(student, answers) < 1e-6
    with alone(student, (coarse, fine)):
        assert movement(student, answers) == pytest.approx(found["both"])
    assert found["none"] == 0.0
    assert found["coarse"] > 10 * found["fine"] > 0
    assert found["both"] == found["again"]
