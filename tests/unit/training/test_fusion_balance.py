"""Gradients into the branches of a concatenation: equal afterwards, and what is not a fusion stays."""

import pytest
import torch

from crqat_pipeline.training.fusion_balance import FusionBalanceSpec, balanced_fusions, balancing_factors


def branches():
    return [torch.ones(1, 2, 3, 3, requires_grad=True), torch.ones(1, 2, 3, 3, requires_grad=True)]


def gradients(spec, fuse, scales=(1.0, 3.0)):
    maps = branches()
    with balanced_fusions(spec):
        result = fuse(maps)
    weight = torch.stack([torch.full_like(one, scale) for one, scale in zip(maps, scales, strict=True)], dim=2)
    weight = weight.movedim(2, 1).flatten(1, 2) if result.ndim == 4 else weight
    (result * weight.detach()).sum().backward()
    return [one.grad[0, 0, 0, 0].item() for one in maps]


@pytest.mark.parametrize("fuse", [lambda maps: torch.cat(maps, dim=1), lambda maps: torch.stack(maps, dim=2)])
def test_branches_get_gradients_of_the_mean_size(fuse):
    assert gradients(None, fuse) == [1.0, 3.0]
    assert gradients(FusionBalanceSpec(), fuse) == pytest.approx([2.0, 2.0])


def test_strength_and_limit_by_hand():
    given = [torch.ones(4), 3 * torch.ones(4)]
    half = balancing_factors(given, FusionBalanceSpec(strength=0.5))
    assert half.tolist() == pytest.approx([2**0.5, (2 / 3) ** 0.5])
    given = [torch.ones(4), 99 * torch.ones(4)]
    assert balancing_factors(given, FusionBalanceSpec(largest_factor=4)).tolist() == pytest.approx([4, 50 / 99])
    assert balancing_factors([torch.zeros(4), torch.ones(4)], FusionBalanceSpec()).tolist() == [1.0, 0.5]


def test_the_result_is_the_same_to_the_bit_and_other_concatenations_stay():
    maps = [torch.rand(2, 3, 4, 4, requires_grad=True) for _ in range(2)]
    with balanced_fusions(FusionBalanceSpec()):
        fused, by_image = torch.cat(maps, dim=1), torch.cat(maps)
    assert torch.equal(fused, torch.cat(maps, dim=1))
    assert by_image.grad_fn.next_functions[0][0].name() == "torch::autograd::AccumulateGrad"
