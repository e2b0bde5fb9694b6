"""Rounding before the gate instead of behind it.

Shape letters: B images, C channels, H W pixels.
"""

import copy

import pytest
import torch

from crqat_pipeline.detectors.yolo_world.gate import TextGuidedCsp
from crqat_pipeline.quantization import QuantSpec, cost, prepare
from crqat_pipeline.quantization.parts import quantizers
from tests.support.small_students import minmax_spec, small_detector, small_inputs, small_student
from tests.support.toy_detector import ToyDetector

EXIT = "neck.td_p4.exit.conv"


def exchanged(**options):
    return minmax_spec(gate_exchange=True, **options)


def test_the_input_of_a_gated_layer_is_rounded_before_the_gate_alone():
    detector = small_detector()
    summary = prepare(detector, exchanged())
    exit_conv = detector.get_submodule(EXIT)
    assert exit_conv.input_quantizer is None
    assert exit_conv.weight_quantizer.grid.bits == 4
    names = [name for name, _ in quantizers(detector) if name.startswith("neck.td_p4") and "operand" in name]
    assert names == [
        "neck.td_p4.plain_operand",
        "neck.td_p4.gate.projected_operand",
        "neck.td_p4.gate.product.map_operand",
        "neck.td_p4.gate.product.guide_operand",
    ]
    row = next(row for row in summary.rows if row.name == EXIT)
    assert "before the gate: plain_operand, gate.projected_operand" in row.detail
    assert str(summary).startswith("4-4-8 Ch-T-H gates exchanged: ")


def test_with_quantizers_off_nothing_changes():
    detector, inputs = small_detector(), small_inputs()
    want = detector(*inputs)
    prepare(detector, exchanged())
    got = detector(*inputs)
    assert torch.equal(got.class_logits_BNK, want.class_logits_BNK)


def test_the_exit_is_a_sum_over_heads_of_gated_products_of_rounded_maps():
    torch.manual_seed(0)
    block = TextGuidedCsp(16, 16, num_bottlenecks=1, embedding_dim=8, num_heads=2).eval()
    block.plain_operand, block.gate.projected_operand = (Steps(0.25) for _ in range(2))
    map_BCHW, text = torch.randn(2, 16, 6, 5), torch.randn(1, 3, 8)
    got = block(map_BCHW, text)

    branches = block.branches(map_BCHW)
    rounded = Steps(0.25)(block.gate.project(branches[-1]))
    opened = block.gate(branches[-1], text) / rounded
    plain_weight, gated_weight = block.exit.conv.weight.split([24, 8], dim=1)
    total = torch.nn.functional.conv2d(Steps(0.25)(torch.cat(branches, 1)), plain_weight)
    for head in range(2):
        own = slice(4 * head, 4 * head + 4)
        gate_B1HW = opened[:, own].nanmean(dim=1, keepdim=True).nan_to_num()  # one value for a head
        total = total + gate_B1HW * torch.nn.functional.conv2d(rounded[:, own], gated_weight[:, own])
    torch.testing.assert_close(got, block.exit.act(block.exit.bn(total)), atol=1e-5, rtol=1e-4)


class Steps(torch.nn.Module):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def forward(self, values):
        return torch.round(values / self.step) * self.step


def test_widths_of_the_layer_hold_for_the_maps_before_the_gate():
    detector = small_detector()
    prepare(
        detector,
        exchanged(
            widths=(
                {"layers": EXIT, "activation": 6},
                {"layers": "neck.td_p3.exit.conv", "weight": "none", "activation": "none"},
            )
        ),
    )
    assert detector.neck.td_p4.plain_operand.grid.bits == 6
    assert detector.neck.td_p4.gate.projected_operand.grid.bits == 6
    assert isinstance(detector.neck.td_p3.plain_operand, torch.nn.Identity)


def test_products_cost_the_same_and_one_more_range_is_stored():
    detector = small_detector()
    plain, moved = (cost(detector, spec, 64, 5) for spec in (minmax_spec(), exchanged()))
    assert moved.bops_t == plain.bops_t
    assert round((moved.size_mb - plain.size_mb) * 2**20) == 4 * 8  # four blocks, a step and a zero point each


def test_the_new_quantizers_learn():
    student = copy.deepcopy(small_student(exchanged()))
    student(*small_inputs()).class_logits_BNK.square().sum().backward()
    block = student.neck.td_p4
    assert all(each.step_G.grad.abs().sum() > 0 for each in (block.plain_operand, block.gate.projected_operand))


def test_a_detector_without_gates_refuses_and_stays_as_it_is():
    detector = ToyDetector()
    with pytest.raises(ValueError, match=r"gate_exchange needs blocks with a gate.*ToyDetector has none"):
        prepare(detector, QuantSpec.parse("4-4-8", gate_exchange=True))
    assert not list(quantizers(detector))


def test_a_step_per_channel_is_refused():
    with pytest.raises(ValueError, match=r"one step each.*'Ch'"):
        QuantSpec.parse("4-4-8", "Ch-Ch-H", deployment="simulation", gate_exchange=True)


def test_records_without_exchange_are_those_of_before():
    assert "gate_exchange" not in QuantSpec.parse("4-4-8").model_dump()
    spec = exchanged()
    assert QuantSpec.model_validate(spec.model_dump()) == spec
