"""All rows of KERNELS give the reference's values and gradients: any shape, also empty, both masks, any gradient."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from quantizer_cases import reference_gradients, settings_of

from crqat_pipeline.quantization.affine import along_axis, dequantize, quantize
from crqat_pipeline.quantization.grid import IntegerGrid
from crqat_pipeline.quantization.kernels.settings import gradient_factor
from crqat_pipeline.quantization.kernels.table import KERNELS
from crqat_pipeline.quantization.quantizer_plans import activation_quantizer
from crqat_pipeline.quantization.quantizer_table import FAKE_QUANTIZERS
from crqat_pipeline.quantization.spec import QuantSpec

COMPILED = pytest.param("compiled", marks=pytest.mark.slow)
ON_A_GPU = {"triton"}  # tests/benchmarks/test_gpu_check.py runs it in Triton's interpreter
ROWS = [COMPILED if name == "compiled" else name for name in KERNELS if name not in ON_A_GPU]
SHAPES = [(), (1,), (7,), (3, 5), (2, 3, 1, 5), (1, 6, 7, 3), (2, 4, 3, 3, 2), (5, 1, 1)]
EMPTY = [(0,), (0, 4), (4, 0), (0, 4, 3, 3), (2, 4, 0, 3), (2, 0, 3), (0, 0)]
HAS_LSQ_ONLY = {"native"}


def is_offered(kernel: str, mask: str, step_gradient: str) -> bool:
    return kernel not in HAS_LSQ_ONLY or (mask, step_gradient) == ("rounded", "lsq")


def off_ties(x, scale_G, zero_G, axis):
    """Values a tenth of a step away from every border between two codes, where kernels may round differently."""
    value = x / along_axis(scale_G, x, axis)
    part = value - value.floor()
    part = torch.where((part - 0.5).abs() < 0.1, torch.full_like(part, 0.3), part).clamp(0.1, 0.9)
    return (value.floor() + part) * along_axis(scale_G, x, axis)


def run(kernel, x, scale_G, zero_G, settings):
    x = x.clone().requires_grad_()
    step_G = (scale_G.log() if settings.is_log else scale_G.clone()).requires_grad_()
    zero_G = None if zero_G is None else zero_G.clone().requires_grad_()
    y = KERNELS[kernel](x, step_G, zero_G, settings)
    gradient = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=y.dtype)
    y.backward(gradient)
    return y.detach(), gradient, x.grad, step_G.grad, None if zero_G is None else zero_G.grad


@pytest.mark.parametrize("kernel", ROWS)
@hypothesis_settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_values_and_gradients_are_those_of_the_reference(kernel, data):
    mask = data.draw(st.sampled_from(["strict", "rounded"]))
    step_gradient = data.draw(st.sampled_from(["lsq", "clip"]))
    assume(is_offered(kernel, mask, step_gradient))
    shape = data.draw(st.sampled_from(SHAPES))
    axis = data.draw(st.sampled_from([None, *range(-len(shape), len(shape))]))
    grid = IntegerGrid(data.draw(st.integers(2, 8)), data.draw(st.booleans()))
    settings = settings_of(
        *(grid.quant_min, grid.quant_max, axis),
        is_log=data.draw(st.booleans()),
        mask=mask,
        step_gradient=step_gradient,
        gradient_scale=data.draw(st.sampled_from(["none", "elements", "features"])),
    )
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 10_000)))
    steps = 1 if axis is None else shape[axis]
    if steps > 1 and steps % 2 == 0 and data.draw(st.booleans()):
        steps //= 2
    scale_G = torch.rand(steps, generator=generator) * 0.1 + 0.05
    zero_G = None if grid.is_symmetric else torch.randint(0, grid.quant_max + 1, (steps,), generator=generator).float()
    x = off_ties(torch.randn(shape, generator=generator), scale_G, zero_G, axis)
    used_G = torch.zeros_like(scale_G) if zero_G is None else zero_G

    y, gradient, dx, dstep_G, dzero_G = run(kernel, x, scale_G, zero_G, settings)

    scale_G = scale_G.log().exp() if settings.is_log else scale_G
    want = dequantize(quantize(x, scale_G, zero_G, grid, axis), scale_G, zero_G, axis)
    torch.testing.assert_close(y, want, rtol=0 if kernel != "native" else 1e-5, atol=0 if kernel != "native" else 1e-6)
    want_dx, want_dscale_G, want_dzero_G = reference_gradients(x, scale_G, used_G, gradient, settings)
    factor = gradient_factor(x, steps, settings)
    want_dstep_G = want_dscale_G * factor * (scale_G.double() if settings.is_log else 1.0)
    torch.testing.assert_close(dx.double(), want_dx, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(dstep_G.double(), want_dstep_G, rtol=1e-4, atol=2e-4 * factor)
    if zero_G is not None:
        leaves = ((zero_G <= grid.quant_min) & (want_dzero_G > 0)) | ((zero_G >= grid.quant_max) & (want_dzero_G < 0))
        want_dzero_G = (want_dzero_G * factor).masked_fill(leaves, 0.0)
        torch.testing.assert_close(dzero_G.double(), want_dzero_G, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", EMPTY)
@pytest.mark.parametrize("kernel", ROWS)
def test_nothing_in_gives_nothing_out_and_gradients_of_zero(kernel, shape):
    for axis in (None, *range(-len(shape), len(shape))):
        steps = 1 if axis is None else max(shape[axis], 1)
        for mask, step_gradient in (("strict", "lsq"), ("rounded", "lsq"), ("strict", "clip"), ("rounded", "clip")):
            if not is_offered(kernel, mask, step_gradient):
                continue
            settings = settings_of(axis=axis, mask=mask, step_gradient=step_gradient, gradient_scale="features")
            for dtype in (torch.float32,) if kernel == "fused" else (torch.float32, torch.bfloat16):
                x = torch.zeros(shape, dtype=dtype)
                y, _, dx, dstep_G, dzero_G = run(kernel, x, torch.full((steps,), 0.1), torch.ones(steps), settings)
                assert (y.shape, y.dtype) == (dx.shape, dx.dtype) == (x.shape, x.dtype)
                assert torch.equal(dstep_G, torch.zeros(steps))
                assert torch.equal(dzero_G, torch.zeros(steps))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("kernel", ["auto", "eager", COMPILED, "composite"])
def test_the_dtype_of_the_input_is_that_of_the_output_and_its_gradient(kernel, dtype):
    x = torch.linspace(-1, 2, 31).to(dtype)
    y, _, dx, dstep_G, _ = run(kernel, x, torch.tensor([0.13]), torch.tensor([3.0]), settings_of(mask="rounded"))
    assert y.dtype == dx.dtype == dtype
    assert dstep_G.dtype == torch.float32


@pytest.mark.parametrize("shape", [(0, 4, 3, 3), (2, 4, 0, 3), (1, 4, 1, 1), (3, 4, 5, 1)])
@pytest.mark.parametrize("granularity", ["T", "Ch", "G2"])
@pytest.mark.parametrize("kernel", ROWS)
@pytest.mark.parametrize("name", FAKE_QUANTIZERS)
def test_every_quantizer_takes_empty_and_odd_inputs_in_training(name, kernel, granularity, shape):
    for mask in ("strict", "rounded"):
        if not is_offered(kernel, mask, "clip" if name == "pact" else "lsq"):
            continue
        spec = QuantSpec.parse(
            "4-4-8",
            f"Ch-{granularity}-H",
            activation_quantizer=name,
            kernel=kernel,
            gradient_mask=mask,
            deployment="simulation",
        )
        quantizer = activation_quantizer(spec, 4, 1, "layer").train()
        steps = quantizer.step_G.numel()
        quantizer.set_qparams(torch.full((steps,), 0.1), torch.full((steps,), 3.0))
        quantizer.is_on = True
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
        y = quantizer(x)
        y.sum().backward()
        assert y.shape == x.grad.shape == x.shape
        for parameter in quantizer.parameters():
            if parameter.grad is not None:
                assert torch.isfinite(parameter.grad).all()
                assert x.numel() or torch.equal(parameter.grad, torch.zeros_like(parameter.grad))


def test_pact_counts_what_is_clipped_by_the_mask_in_every_kernel():
    """Within the rounded mask half a step above the grid nothing moves the step; strictly, it does."""
    x = torch.tensor([15.3, 15.7, -0.4, 7.2])
    for mask, want in (("rounded", 15.0), ("strict", 30.0)):
        for kernel in ("auto", "fused", "eager", "composite"):
            step_G = torch.ones(1).requires_grad_()
            y = KERNELS[kernel](x, step_G, torch.zeros(1), settings_of(mask=mask, step_gradient="clip"))
            y.sum().backward()
            assert step_G.grad.item() == pytest.approx(want), (kernel, mask)
