from __future__ import annotations

import pytest
import torch
from quantizer_cases import settings_of

from crqat_pipeline.quantization.fake_quantizer import QuantizerPlan
from crqat_pipeline.quantization.grid import IntegerGrid
from crqat_pipeline.quantization.kernels.settings import KernelSettings
from crqat_pipeline.quantization.quantizer_table import FAKE_QUANTIZERS

X = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
LEARNED = {
    "lsq": ["step_G"],
    "lsq_plus": ["step_G", "zero_point_G"],
    "pact": ["step_G"],
    "minmax": [],
    "fixed": [],
}


def plan(grid=None, **changes) -> QuantizerPlan:
    """Options of the kernel (axis, is_log, mask) may stand among the changes."""
    grid = grid or IntegerGrid(4, False)
    of_kernel = {name: changes.pop(name) for name in KernelSettings._fields if name in changes}
    of_kernel = {"is_log": True, "mask": "rounded"} | of_kernel
    values = {
        "grid": grid,
        "settings": settings_of(grid.quant_min, grid.quant_max, **of_kernel),
        "num_steps": 1,
        "kernel": "eager",
        "initialization": "minmax",
        "percentile": 99.9,
        "range_momentum": 0.5,
    } | changes
    return QuantizerPlan(**values)


def calibrated(name: str, **changes):
    quantizer = FAKE_QUANTIZERS[name](plan(**changes))
    size = quantizer.num_steps
    quantizer.set_qparams(torch.full((size,), 0.2), torch.full((size,), 7.0))
    quantizer.is_on = True
    return quantizer.eval()


@pytest.mark.parametrize("name", FAKE_QUANTIZERS)
@pytest.mark.parametrize("is_log", [True, False])
def test_contract_of_every_row(name, is_log):
    quantizer = calibrated(name, is_log=is_log)
    assert [key for key, _ in quantizer.named_parameters()] == LEARNED[name]
    y = quantizer(X)
    assert torch.equal(y, quantizer.dequantize(quantizer.codes(X)))
    torch.testing.assert_close(quantizer.scale, torch.tensor([0.2]))
    assert quantizer.zero_point.tolist() == [7]
    quantizer.is_on = False
    assert quantizer(X) is X


@pytest.mark.parametrize("name", FAKE_QUANTIZERS)
def test_steps_stay_positive_under_large_updates(name):
    for is_log in (True, False):
        quantizer = calibrated(name, is_log=is_log).train()
        parameters = list(quantizer.parameters())
        if not parameters:
            continue
        optimizer = torch.optim.SGD(parameters, lr=10.0)
        for _ in range(5):
            optimizer.zero_grad()
            (quantizer(X).square()).sum().backward()
            optimizer.step()
            assert (quantizer.scale > 0).all()
            assert quantizer(X).isfinite().all()


def test_tracking_follows_the_range_in_training_only():
    quantizer = calibrated("minmax", range_momentum=1.0)
    quantizer(X)
    torch.testing.assert_close(quantizer.scale, torch.tensor([0.2]))
    quantizer.train()(X)
    torch.testing.assert_close(quantizer.scale, ((X.max() - X.min()) / 15).reshape(1))


def test_symmetric_grid_has_no_zero_point():
    quantizer = calibrated("lsq_plus", grid=IntegerGrid(4, True, narrow=True), axis=0, num_steps=4)
    assert [key for key, _ in quantizer.named_parameters()] == ["step_G"]
    assert quantizer.zero_point is None
    assert quantizer.codes(X * 100).min() == -7
