"""A quantizer, an initialization or a kernel of one's own is a row; other names are refused with the nearest row."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer, QuantizerPlan
from crqat_pipeline.quantization.initialization_rules import INITIALIZATIONS
from crqat_pipeline.quantization.kernels.eager import fake_quantize_eager
from crqat_pipeline.quantization.kernels.table import KERNELS
from crqat_pipeline.quantization.quantizer_plans import activation_quantizer, weight_quantizer
from crqat_pipeline.quantization.quantizer_table import FAKE_QUANTIZERS
from crqat_pipeline.quantization.spec import QuantSpec


def only_zero_point(plan: QuantizerPlan):
    return FakeQuantizer(plan, learns_step=False, learns_zero_point=True)


def from_half_the_range(observer, grid, percentile):
    scale_G, zero_point_G = INITIALIZATIONS["minmax"](observer, grid, percentile)
    return scale_G / 2, zero_point_G


@pytest.fixture
def own_rows(monkeypatch):
    calls = []

    def counted(*arguments):
        calls.append(1)
        return fake_quantize_eager(*arguments)

    monkeypatch.setitem(FAKE_QUANTIZERS, "only_zero_point", only_zero_point)
    monkeypatch.setitem(INITIALIZATIONS, "half_the_range", from_half_the_range)
    monkeypatch.setitem(KERNELS, "counted", counted)
    return calls


def test_added_rows_are_named_in_the_parameters_and_train(own_rows):
    spec = QuantSpec.parse(
        "4-4-8",
        activation_quantizer="only_zero_point",
        activation_initialization="half_the_range",
        kernel="counted",
    )
    weights, inputs = weight_quantizer(spec, 3, "layer"), activation_quantizer(spec, 5, 1, "layer")
    assert [name for name, _ in inputs.named_parameters()] == ["zero_point_G"]
    torch.manual_seed(0)
    layer, x = nn.Linear(5, 3), torch.randn(8, 5)
    weights.set_qparams(torch.full((3,), 0.1), torch.zeros(3))
    inputs.is_observing = True
    inputs(x)
    rule = INITIALIZATIONS[inputs.plan.initialization]
    inputs.set_qparams(*rule(inputs.observer, inputs.grid, inputs.plan.percentile))
    inputs.stop_observing()
    assert inputs.scale.item() == pytest.approx((x.max() - x.min()).item() / 15 / 2, rel=1e-5)
    weights.is_on = inputs.is_on = True
    parameters = [*layer.parameters(), *weights.parameters(), *inputs.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.05)
    losses = []
    for _ in range(5):
        loss = nn.functional.linear(inputs(x), weights(layer.weight), layer.bias).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert len(own_rows) == 10


@pytest.mark.parametrize(
    ("field", "name", "nearest"),
    [
        ("weight_quantizer", "lsqplus", "lsq_plus"),
        ("activation_quantizer", "min_max", "minmax"),
        ("weight_initialization", "msee", "mse"),
        ("activation_initialization", "percentil", "percentile"),
        ("kernel", "compild", "compiled"),
    ],
)
def test_a_name_without_a_row_is_refused_with_the_nearest(field, name, nearest):
    with pytest.raises(ValidationError, match=rf"(?s){field}.*{name}.*{nearest}"):
        QuantSpec.parse("4-4-8", **{field: name})
    with pytest.raises(ValidationError, match=field):
        QuantSpec.parse("4-4-8", **{field: 3})
