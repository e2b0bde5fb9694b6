"""QFD: the quantized feature by hand, the loss, who gets gradients, and the refusal."""

import pytest
import torch

from crqat_pipeline.distillation.qfd import qfd_loss, quantize_feature


def test_two_bits_are_four_levels_from_minimum_to_maximum():
    feature = torch.tensor([-1.0, -0.6, 0.4, 0.5, 1.1, 2.0]).reshape(1, 1, 2, 3)
    expected = torch.tensor([-1.0, -1.0, 0.0, 1.0, 1.0, 2.0]).reshape(1, 1, 2, 3)  # 0.5 rounds up: code 1.5 to even 2
    assert torch.allclose(quantize_feature(feature, 2), expected)


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_at_most_so_many_values_and_at_most_half_a_step_away(bits):
    feature = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(bits))
    quantized = quantize_feature(feature, bits)
    step = (feature.max() - feature.min()) / (2**bits - 1)
    assert len(quantized.unique()) <= 2**bits
    assert (quantized - feature).abs().max() <= step / 2 + 1e-6
    assert quantized.min() == feature.min()
    assert torch.isclose(quantized.max(), feature.max())


def test_a_constant_feature_stays_as_it_is():
    constant = torch.full((1, 2, 3, 3), 0.7)
    assert torch.equal(quantize_feature(constant, 4), constant)


def test_loss_is_the_mean_square_to_the_quantized_feature():
    teacher = {"td_p3": torch.tensor([0.0, 0.4, 0.6, 1.0]).reshape(1, 1, 2, 2)}
    student = {"td_p3": torch.tensor([0.0, 0.0, 0.0, 3.0]).reshape(1, 1, 2, 2)}
    assert qfd_loss(student, teacher, "td_p3", 1).item() == pytest.approx((0 + 0 + 1 + 4) / 4)


def test_loss_is_zero_where_the_student_is_the_quantized_teacher():
    teacher = {"td_p3": torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))}
    student = {"td_p3": quantize_feature(teacher["td_p3"], 4)}
    assert qfd_loss(student, teacher, "td_p3", 4).item() == 0.0
    assert qfd_loss(teacher, teacher, "td_p3", 4).item() > 0


def test_the_teacher_gets_no_gradient():
    student, teacher = ({"td_p3": torch.randn(1, 2, 3, 3).requires_grad_()} for _ in range(2))
    qfd_loss(student, teacher, "td_p3", 4).backward()
    assert teacher["td_p3"].grad is None
    assert student["td_p3"].grad is not None


@pytest.mark.parametrize(("student", "teacher", "who"), [("c3", "p2", "student"), ("p2", "c3", "teacher")])
def test_a_map_that_is_not_there_is_refused_with_those_that_are(student, teacher, who):
    maps = ({name: torch.zeros(1, 1, 2, 2)} for name in (student, teacher))
    with pytest.raises(ValueError, match=rf"the {who} has c3 and not 'p2'\. Set qfd\.feature"):
        qfd_loss(*maps, "p2", 4)
