from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from quantizer_cases import reference_gradients, settings_of

from crqat_pipeline.quantization.affine import dequantize, quantize
from crqat_pipeline.quantization.grid import IntegerGrid
from crqat_pipeline.quantization.kernels.fused_library import load_fused
from crqat_pipeline.quantization.kernels.settings import gradient_factor
from crqat_pipeline.quantization.kernels.table import KERNELS

MASKS = [
    ("eager", "strict"),
    ("eager", "rounded"),
    ("composite", "strict"),
    ("composite", "rounded"),
    ("native", "rounded"),
]


def _run(kernel, x, scale_G, zero_G, settings):
    x = x.clone().requires_grad_()
    step_G = (scale_G.log() if settings.is_log else scale_G.clone()).requires_grad_()
    zero_G = None if zero_G is None else zero_G.clone().requires_grad_()
    y = KERNELS[kernel](x, step_G, zero_G, settings)
    gradient = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=y.dtype)
    y.backward(gradient)
    return y.detach(), gradient, x.grad, step_G.grad, None if zero_G is None else zero_G.grad


@hypothesis_settings(max_examples=40, deadline=None)
@given(
    bits=st.integers(2, 8),
    is_symmetric=st.booleans(),
    shape=st.sampled_from([(1,), (7,), (3, 5), (2, 3, 1, 5), (1, 6, 7, 3)]),
    seed=st.integers(0, 10_000),
    has_axis=st.booleans(),
)
def test_output_is_dequantize_of_quantize(bits, is_symmetric, shape, seed, has_axis):
    generator = torch.Generator().manual_seed(seed)
    grid = IntegerGrid(bits, is_symmetric)
    axis = min(1, len(shape) - 1) if has_axis else None
    groups = 1 if axis is None else shape[axis]
    x = torch.randn(shape, generator=generator) * 3
    scale_G = torch.rand(groups, generator=generator) + 1e-3
    zero_G = None if is_symmetric else torch.randint(0, grid.quant_max + 1, (groups,), generator=generator).float()
    settings = settings_of(grid.quant_min, grid.quant_max, axis)
    codes = quantize(x, scale_G, zero_G, grid, axis)
    for kernel in ("auto", "fused", "eager", "composite"):
        y = KERNELS[kernel](x, scale_G, zero_G, settings)
        assert torch.equal(y, dequantize(codes, scale_G, zero_G, axis)), kernel
    assert torch.equal(codes, codes.round())
    assert codes.min() >= grid.quant_min
    assert codes.max() <= grid.quant_max


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize(("kernel", "mask"), MASKS)
def test_gradients_agree_with_float64(kernel, mask, axis):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(4, 6, 5, 3, generator=generator)
    groups = 1 if axis is None else x.shape[axis]
    scale_G = torch.rand(groups, generator=generator) * 0.1 + 0.08
    zero_G = torch.randint(2, 9, (groups,), generator=generator).float()
    settings = settings_of(axis=axis, mask=mask)
    _, gradient, dx, dstep_G, dzero_G = _run(kernel, x, scale_G, zero_G, settings)
    want_dx, want_dstep_G, want_dzero_G = reference_gradients(x, scale_G, zero_G, gradient, settings)
    torch.testing.assert_close(dx.double(), want_dx, rtol=1e-6 if kernel == "composite" else 0, atol=0)
    torch.testing.assert_close(dstep_G.double(), want_dstep_G, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(dzero_G.double(), want_dzero_G, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel", ["eager", "composite", "fused"])
@pytest.mark.parametrize("axis", [None, 1])
def test_clip_gradient_moves_the_step_by_clipped_values_only(kernel, axis):
    x = torch.randn(3, 4, 10, generator=torch.Generator().manual_seed(0)) * 2
    groups = 1 if axis is None else 4
    scale_G, zero_G = torch.full((groups,), 0.07), torch.full((groups,), 5.0)
    settings = settings_of(axis=axis, step_gradient="clip")
    _, gradient, dx, dstep_G, _ = _run(kernel, x, scale_G, zero_G, settings)
    want_dx, want_dstep_G, _ = reference_gradients(x, scale_G, zero_G, gradient, settings)
    torch.testing.assert_close(dx.double(), want_dx, rtol=1e-6 if kernel == "composite" else 0, atol=0)
    torch.testing.assert_close(dstep_G.double(), want_dstep_G, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("gradient_scale", ["none", "elements", "features"])
def test_log_step_and_gradient_scale_only_rescale_the_gradient(gradient_scale):
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    scale_G, zero_G = torch.tensor([0.11]), torch.tensor([4.0])
    plain = settings_of()
    scaled = settings_of(is_log=True, gradient_scale=gradient_scale)
    _, _, _, dscale_G, dzero_G = _run("eager", x, scale_G, zero_G, plain)
    for kernel in ("eager", "composite", "fused"):
        _, _, _, dlog_G, dzero_scaled_G = _run(kernel, x, scale_G, zero_G, scaled)
        factor = gradient_factor(x, 1, scaled)
        torch.testing.assert_close(dlog_G, dscale_G * scale_G * factor, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(dzero_scaled_G, dzero_G * factor, rtol=1e-4, atol=1e-6)
    expected = {"none": 1.0, "elements": (24 * 15) ** -0.5, "features": (6 * 15) ** -0.5}
    assert gradient_factor(x, 1, scaled) == pytest.approx(expected[gradient_scale])


def test_hand_computed_numbers():
    x = torch.tensor([-1.0, 0.1, 0.26, 9.0], requires_grad=True)
    step_G = torch.tensor([0.5], requires_grad=True)
    zero_G = torch.tensor([1.2], requires_grad=True)  # used as 1
    y = KERNELS["eager"](x, step_G, zero_G, settings_of(0, 3))
    assert y.tolist() == [-0.5, 0.0, 0.5, 1.0]
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 0.0]
    assert step_G.grad.item() == pytest.approx(-1 + (0 - 0.2) + (1 - 0.52) + 2)
    assert zero_G.grad.item() == pytest.approx(-0.5 - 0.5)


@pytest.mark.parametrize("kernel", ["eager", "composite", "native", "fused"])
@pytest.mark.parametrize("axis", [None, 0])
def test_nan_is_never_hidden(kernel, axis):
    x = torch.tensor([[0.3, float("nan"), 1.0]])
    y = KERNELS[kernel](x, torch.tensor([0.1]), torch.tensor([3.0]), settings_of(axis=axis, mask="rounded"))
    assert y.isnan().tolist() == [[False, True, False]]
    broken = torch.tensor([float("nan")])
    for kernel in ("eager", "fused"):
        assert KERNELS[kernel](x[:, :1], broken, torch.tensor([3.0]), settings_of(axis=axis)).isnan().all()
        assert KERNELS[kernel](x[:, :1], torch.tensor([0.1]), broken, settings_of(axis=axis)).isnan().all()


@pytest.mark.parametrize("step", [0.0, -0.3])
def test_a_step_below_zero_is_used_as_the_smallest_scale_and_can_recover(step):
    x = torch.rand(50) + 0.5
    step_G = torch.tensor([step], requires_grad=True)
    y = KERNELS["eager"](x, step_G, torch.tensor([0.0]), settings_of())
    assert (y > 0).all()
    (-y).sum().backward()
    assert step_G.grad.item() < 0  # gradient descent raises the step


def _layouts(shape, generator):
    """The same values contiguous, channels-last, as a slice of channels of either, and with a permuted memory."""
    base = torch.randn(shape, generator=generator)
    padded = torch.cat([base, torch.zeros_like(base)], dim=1)
    yield base
    yield base.to(memory_format=torch.channels_last)
    yield padded.narrow(1, 0, shape[1])
    yield padded.to(memory_format=torch.channels_last).narrow(1, 0, shape[1])
    yield base.transpose(2, 3).contiguous().transpose(2, 3)


@pytest.mark.parametrize("axis", [None, 0, 1, 3])
@pytest.mark.parametrize("kernel", ["eager", "composite", "fused"])
@pytest.mark.parametrize("shape", [(2, 8, 5, 3), (1, 2, 64, 48), (3, 4, 1, 1)])
def test_layouts_do_not_change_values_or_gradients(kernel, axis, shape):
    generator = torch.Generator().manual_seed(0)
    groups = 1 if axis is None else shape[axis]
    scale_G, zero_G = torch.rand(groups, generator=generator) * 0.1 + 0.1, torch.full((groups,), 6.0)
    weights = torch.randn(shape, generator=generator)
    want = None
    for view in _layouts(shape, generator.manual_seed(1)):
        x = view.detach().requires_grad_()
        step_G, zero_point_G = scale_G.clone().requires_grad_(), zero_G.clone().requires_grad_()
        y = KERNELS[kernel](x, step_G, zero_point_G, settings_of(axis=axis, mask="rounded"))
        (y * weights).sum().backward()
        if want is None:
            want = (y.detach(), x.grad, step_G.grad, zero_point_G.grad)
        assert torch.equal(y, want[0])
        torch.testing.assert_close((x.grad, step_G.grad, zero_point_G.grad), want[1:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel", ["eager", "fused"])
def test_channels_last_maps_and_their_slices_stay_channels_last(kernel):
    x = torch.randn(2, 8, 5, 3).to(memory_format=torch.channels_last)
    for part in (x, x.narrow(1, 2, 4)):
        y = KERNELS[kernel](part, torch.tensor([0.2]), torch.tensor([6.0]), settings_of())
        assert y.is_contiguous(memory_format=torch.channels_last)


def test_fused_gradients_do_not_depend_on_the_number_of_threads():
    x = torch.randn(300_000, generator=torch.Generator().manual_seed(0))
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            results.append(_run("fused", x, torch.tensor([0.1]), torch.tensor([7.0]), settings_of()))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_without_a_compiler_the_reason_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CC", "no-such-compiler")
    assert "no C compiler" in load_fused.__wrapped__()
    with pytest.raises(ValueError, match=r"float32 on a CPU.*got torch.float64.*kernel='auto'"):
        KERNELS["fused"](torch.zeros(2).double(), torch.ones(1), None, settings_of())
    assert KERNELS["auto"](torch.zeros(2).double(), torch.ones(1), None, settings_of()).tolist() == [0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_compiled_kernel_agrees_with_eager(axis):
    x = torch.randn(3, 4, 6, 5, generator=torch.Generator().manual_seed(0))
    groups = 1 if axis is None else x.shape[axis]
    scale_G, zero_G = torch.full((groups,), 0.13), torch.full((groups,), 6.0)
    for layout in (torch.contiguous_format, torch.channels_last):
        settings = settings_of(axis=axis, mask="rounded")
        got = _run("compiled", x.contiguous(memory_format=layout), scale_G, zero_G, settings)
        want = _run("eager", x, scale_G, zero_G, settings)
        assert torch.equal(got[0], want[0])
        torch.testing.assert_close(got[1:], want[1:], rtol=1e-4, atol=1e-4)


def test_half_precision_is_computed_in_float32():
    x = torch.randn(1000, generator=torch.Generator().manual_seed(0)).bfloat16().requires_grad_()
    scale_G, zero_G = torch.tensor([0.1371]), torch.tensor([7.0])
    y = KERNELS["eager"](x, scale_G.requires_grad_(), zero_G.requires_grad_(), settings_of())
    assert y.dtype == torch.bfloat16
    codes = quantize(x.detach().float(), scale_G.detach(), zero_G.detach(), IntegerGrid(4, False))
    assert torch.equal(y, dequantize(codes, scale_G, zero_G).bfloat16())
    y.float().sum().backward()
    assert x.grad.dtype == torch.bfloat16
    assert scale_G.grad.dtype == torch.float32


def test_zero_point_at_the_edge_of_the_grid_is_not_pushed_further():
    x = torch.full((5,), 100.0)
    zero_G = torch.tensor([0.0], requires_grad=True)
    y = KERNELS["eager"](x, torch.tensor([0.1]), zero_G, settings_of())
    (-y).sum().backward()  # descent would lower the zero point: -(-s) > 0
    assert zero_G.grad.item() == 0.0


def test_groups_share_a_step_between_neighbours():
    x = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))
    scale_G, zero_G = torch.tensor([0.1, 0.2, 0.05]), torch.tensor([4.0, 7.0, 2.0])
    settings = settings_of(axis=1)
    y, gradient, _, dstep_G, dzero_G = _run("eager", x, scale_G, zero_G, settings)
    wide = settings_of(axis=1)
    wide_y = KERNELS["eager"](x, scale_G.repeat_interleave(2), zero_G.repeat_interleave(2), wide)
    assert torch.equal(y, wide_y)
    want = reference_gradients(x, scale_G, zero_G, gradient, settings)
    torch.testing.assert_close(dstep_G.double(), want[1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(dzero_G.double(), want[2], rtol=1e-4, atol=1e-5)


def test_an_empty_tensor_passes():
    x = torch.zeros(0, 4, requires_grad=True)
    step_G = torch.tensor([0.1], requires_grad=True)
    KERNELS["eager"](x, step_G, None, settings_of()).sum().backward()
    assert step_G.grad.item() == 0.0


def test_native_kernel_refuses_what_it_does_not_have():
    with pytest.raises(ValueError, match=r"rounded gradient mask.*'strict'.*eager"):
        KERNELS["native"](torch.zeros(2), torch.ones(1), torch.zeros(1), settings_of())
