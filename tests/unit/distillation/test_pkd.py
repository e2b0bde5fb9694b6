"""PKD: its identity with Pearson's r, its invariances, its refusal."""

import pytest
import torch
from torch.nn import functional as F

from crqat_pipeline.distillation.pkd import SMALLEST_DEVIATION, pkd_loss


def maps(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(2, 4, side, side, generator=generator) for name, side in (("c3", 6), ("c4", 3))}


def test_is_the_sum_over_scales_of_one_minus_pearson():
    student, teacher = maps(0), maps(1)
    expected = 0.0
    for name in teacher:
        rows = [
            torch.corrcoef(torch.stack([student[name][:, c].flatten(), teacher[name][:, c].flatten()]))[0, 1]
            for c in range(4)
        ]
        expected += 1 - torch.stack(rows).mean()
    assert pkd_loss(student, teacher).item() == pytest.approx(float(expected), abs=1e-5)


def test_ignores_magnitude_and_offset_of_each_channel():
    teacher = maps(2)
    student = {name: 7 * value + 3 for name, value in teacher.items()}
    assert pkd_loss(student, teacher).item() == pytest.approx(0, abs=1e-9)


def plain_loss(student, teacher):
    """The same by autograd alone."""

    def standardized(x):
        centred = x - x.mean((0, 2, 3), keepdim=True)
        return centred / (centred.square().mean((0, 2, 3), keepdim=True).sqrt() + 1e-6)

    return sum(0.5 * F.mse_loss(standardized(student[name]), standardized(teacher[name])) for name in teacher)


def test_loss_and_gradient_equal_those_of_autograd():
    student = {name: (value + 0.3 * maps(1)[name]).requires_grad_() for name, value in maps(0).items()}
    again = {name: value.detach().clone().requires_grad_() for name, value in student.items()}
    got, expected = 3 * pkd_loss(student, maps(0)), 3 * plain_loss(again, maps(0))
    assert got.item() == pytest.approx(expected.item(), rel=1e-6)
    got.backward()
    expected.backward()
    for name, value in student.items():
        assert (value.grad - again[name].grad).abs().max() <= 1e-5 * again[name].grad.abs().max()


def test_a_constant_channel_gets_no_gradient_and_no_nan():
    student = maps(0)
    student["c3"][:, 1] = 0.0
    student = {name: value.requires_grad_() for name, value in student.items()}
    loss = pkd_loss(student, maps(1))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.equal(student["c3"].grad[:, 1], torch.zeros(2, 6, 6))
    assert student["c3"].grad[:, 0].abs().max() > 0


@pytest.mark.parametrize("deviation", [1e-9, 1e-7, 1e-6, 1e-5, 0.99e-4])
def test_a_nearly_dead_channel_gets_a_bounded_gradient(deviation):
    student, teacher = maps(0), maps(1)
    alive = {name: value.clone() for name, value in student.items()}
    noise = student["c3"][:, 1]
    student["c3"][:, 1] = deviation * (noise - noise.mean()) / noise.std(correction=0)
    gradients = {}
    for case, values in (("dead", student), ("alive", alive)):
        leaves = {name: value.requires_grad_() for name, value in values.items()}
        pkd_loss(leaves, teacher).backward()
        gradients[case] = leaves["c3"].grad
    elements = student["c3"].numel()
    error = teacher["c3"][:, 1] / teacher["c3"][:, 1].std() - student["c3"][:, 1].detach() / SMALLEST_DEVIATION
    assert gradients["dead"][:, 1].abs().max() <= 1.5 * error.abs().max() / (elements * SMALLEST_DEVIATION)
    assert gradients["dead"][:, 1].abs().max() > 0
    others = [0, 2, 3]
    assert torch.equal(gradients["dead"][:, others], gradients["alive"][:, others])


def test_the_gradient_below_the_floor_is_that_of_autograd():
    student = {"c3": (1e-5 * maps(0)["c3"]).requires_grad_()}
    again = (1e-5 * maps(0)["c3"]).requires_grad_()
    pkd_loss(student, {"c3": maps(1)["c3"]}).backward()
    teacher = maps(1)["c3"]
    centred = teacher - teacher.mean((0, 2, 3), keepdim=True)
    fixed = centred / (centred.square().mean((0, 2, 3), keepdim=True).sqrt() + 1e-6)
    own = (again - again.mean((0, 2, 3), keepdim=True)) / (SMALLEST_DEVIATION + 1e-6)
    (0.5 * F.mse_loss(own, fixed)).backward()
    torch.testing.assert_close(student["c3"].grad, again.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("factor", [1e-2, 1.0, 1e3])
def test_the_floor_leaves_other_channels_as_they_were(factor):
    student = {name: (factor * value).requires_grad_() for name, value in maps(0).items()}
    assert torch.equal(pkd_loss(student, maps(1)), plain_loss(student, maps(1)))


def test_half_precision_maps_get_half_precision_gradients():
    student = {name: value.bfloat16().requires_grad_() for name, value in maps(0).items()}
    loss = pkd_loss(student, {name: value.bfloat16() for name, value in maps(1).items()})
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(value.grad.dtype == torch.bfloat16 for value in student.values())


def test_gives_the_teacher_no_gradient():
    student = {name: value.requires_grad_() for name, value in maps(0).items()}
    teacher = {name: value.requires_grad_() for name, value in maps(1).items()}
    pkd_loss(student, teacher).backward()
    assert all(value.grad is None for value in teacher.values())
    assert all(value.grad is not None for value in student.values())


def test_refuses_maps_of_other_shapes():
    student = maps(0)
    student["c4"] = student["c4"][:, :3]
    with pytest.raises(ValueError, match=r"'c4' the teacher has \(2, 4, 3, 3\), the student \(2, 3, 3, 3\)"):
        pkd_loss(student, maps(1))
