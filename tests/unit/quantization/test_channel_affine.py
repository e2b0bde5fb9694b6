import pytest
import torch
from torch import nn

from crqat_pipeline.quantization.channel_affine import VANISHING, affine_of, store_affine


@pytest.mark.parametrize("shape", [(2, 7, 5, 5), (1, 64, 13, 9), (3, 33, 1, 1), (1, 1, 2, 3)])
@pytest.mark.parametrize("is_channels_last", [False, True])
def test_a_folded_batch_norm_is_equal_bit_for_bit(shape, is_channels_last):
    generator = torch.Generator().manual_seed(0)
    channels = shape[1]
    norm = nn.BatchNorm2d(channels, eps=1e-3).eval()
    with torch.no_grad():
        norm.weight.copy_(torch.randn(channels, generator=generator))
        norm.weight[0] = 0.0
        norm.bias.copy_(torch.randn(channels, generator=generator))
        norm.running_mean.copy_(torch.randn(channels, generator=generator))
        norm.running_var.copy_(torch.rand(channels, generator=generator) * 4 + 1e-4)
    x = torch.randn(shape, generator=generator)
    if is_channels_last:
        x = x.to(memory_format=torch.channels_last)
    expected = norm(x)
    folded = nn.BatchNorm2d(channels).eval()
    store_affine(folded, affine_of(norm))
    assert torch.equal(folded(x), expected)


def test_gain_and_shift_by_hand():
    norm = nn.BatchNorm2d(2, eps=VANISHING).eval()
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([3.0, -1.0]))
        norm.bias.copy_(torch.tensor([0.5, 2.0]))
        norm.running_mean.copy_(torch.tensor([2.0, 1.0]))
        norm.running_var.copy_(torch.tensor([4.0, 0.25]))
    gain, shift = affine_of(norm)
    assert gain.tolist() == [1.5, -2.0]
    assert shift.tolist() == [-2.5, 4.0]
