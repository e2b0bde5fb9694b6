"""Sensitivities of single quantizers, and the widths that a budget allows."""

import itertools

import pytest
import torch

from crqat_pipeline.allocation import MENUS, allocate, sensitivities
from crqat_pipeline.allocation.layer_choices import Choice, LayerChoices, layer_choices
from crqat_pipeline.allocation.pairs import second_order
from crqat_pipeline.allocation.solve import MB, Limits
from crqat_pipeline.allocation.width_sensitivity import calibrated, uniform
from crqat_pipeline.quantization import QuantSpec, calibrate, cost, prepare, set_quantized
from crqat_pipeline.quantization.parts import quantizers
from crqat_pipeline.sensitivity.answers import answers_of, movement
from crqat_pipeline.sensitivity.leave_one_in import alone
from tests.support.small_students import minmax_spec, small_detector, small_inputs

SIZE_PX, PROMPTS = 64, 5


def layer(name, rows):
    choices = tuple(Choice(bits, bits, movement, bops, stored) for bits, movement, bops, stored in rows)
    return LayerChoices(name, "convolution", "backbone", 1, False, choices)


def test_the_choice_is_the_best_of_all_that_keep_the_budget():
    generator = torch.Generator().manual_seed(3)
    layers = [
        layer(
            f"l{n}",
            [(b, float(torch.rand((), generator=generator)) / b, b * b * (n + 1), b * (5 - n)) for b in (2, 4, 8)],
        )
        for n in range(4)
    ]
    limits = Limits(stored=55.0, bops=150.0)
    best = min(
        sum(choice.sensitivity for choice in chosen)
        for chosen in itertools.product(*(one.choices for one in layers))
        if sum(c.stored for c in chosen) <= limits.stored and sum(c.bops for c in chosen) <= limits.bops
    )
    allocation = allocate(layers, limits)
    assert allocation.predicted == pytest.approx(best)
    assert allocation.stored <= limits.stored
    assert allocation.bops <= limits.bops


def test_a_budget_that_cannot_be_kept_says_the_smallest_that_can():
    layers = [layer("a", [(4, 1.0, 16e9, 4 * MB), (8, 0.1, 64e9, 8 * MB)])]
    with pytest.raises(ValueError, match=r"smallest size is 4 MB and the fewest bit operations 16 G\. Raise"):
        allocate(layers, Limits(stored=3 * MB, bops=100e9))


@pytest.fixture(scope="module")
def measured():
    detector = small_detector()
    batches = [small_inputs(2, (SIZE_PX, SIZE_PX))]
    return detector, batches, sensitivities(detector, minmax_spec(), [4, 8], answers_of(detector, batches))


def test_movement_grows_with_fewer_bits(measured):
    _, _, found = measured
    at_4, at_8 = (sum(value for (_, bits), value in found.items() if bits == width) for width in (4, 8))
    assert at_4 > 5 * at_8 > 0
    assert any(name.startswith("backbone") and name.endswith("weight_quantizer") for name, _ in found)
    assert any("similarity" in name for name, _ in found)


def test_costs_of_choices_are_those_of_the_cost_report(measured):
    detector, _, found = measured
    menu = MENUS["npu"]
    spec = minmax_spec("4-8-8")
    layers = layer_choices(detector, spec, menu, found, SIZE_PX, PROMPTS)
    plain = cost(detector, None, SIZE_PX, PROMPTS)
    other_bops = sum(row.bops for row in plain.layers if row.name not in {one.name for one in layers})
    other_bytes = plain.size_mb * MB - sum(
        row.stored_bytes for row in plain.layers if row.name in {one.name for one in layers}
    )
    budget = cost(detector, spec, SIZE_PX, PROMPTS)
    limits = Limits(budget.size_mb * MB - other_bytes, budget.bops_t * 1e12 - other_bops)
    allocation = allocate(layers, limits)
    own = cost(detector, spec.model_copy(update={"widths": allocation.rules}), SIZE_PX, PROMPTS)
    assert own.size_mb * MB == pytest.approx(allocation.stored + other_bytes)
    assert own.bops_t * 1e12 == pytest.approx(allocation.bops + other_bops)
    assert own.size_mb <= budget.size_mb
    assert own.bops_t <= budget.bops_t


def test_an_allocation_moves_the_answers_less_than_uniform_bits_of_the_same_cost(measured):
    detector, batches, _ = measured
    answers = answers_of(detector, batches)
    found = sensitivities(detector, minmax_spec(), [2, 3, 4, 5, 6, 8], answers)
    menu = MENUS["paper"].__class__("test", (2, 3, 4, 5, 6, 8), (2, 3, 4, 5, 6, 8), (4, 6, 8))
    layers = layer_choices(detector, minmax_spec(), menu, found, SIZE_PX, PROMPTS)
    plain = cost(detector, None, SIZE_PX, PROMPTS)
    names = {one.name for one in layers}
    other_bops = sum(row.bops for row in plain.layers if row.name not in names)
    other_bytes = plain.size_mb * MB - sum(row.stored_bytes for row in plain.layers if row.name in names)
    budget = cost(detector, minmax_spec(), SIZE_PX, PROMPTS)
    allocation = allocate(layers, Limits(budget.size_mb * MB - other_bytes, budget.bops_t * 1e12 - other_bops))
    assert moved(minmax_spec(widths=allocation.rules), answers) < moved(minmax_spec(), answers)


def moved(spec: QuantSpec, answers):
    student = small_detector()
    prepare(student, spec)
    calibrate(student, answers.batches, list(student.parts))
    set_quantized(student, list(student.parts))
    return movement(student, answers)


def test_a_budget_of_time_is_kept_and_an_impossible_one_says_the_least():
    choices = (Choice(4, 4, 1.0, 16e9, 4 * MB, time=5.0), Choice(8, 8, 0.1, 64e9, 8 * MB, time=2.0))
    layers = [LayerChoices(name, "convolution", "backbone", 1, False, choices) for name in ("a", "b")]
    assert [c.weight for c in allocate(layers, Limits(12 * MB, 200e9)).chosen].count(8) == 1
    fast = allocate(layers, Limits(16 * MB, 200e9, time=4.0))
    assert (fast.time, [c.weight for c in fast.chosen]) == (4.0, [8, 8])
    with pytest.raises(ValueError, match=r"and 3 ms\. .*the least time 4 ms"):
        allocate(layers, Limits(16 * MB, 200e9, time=3.0))


def test_a_pair_is_what_two_layers_that_feed_one_another_move_beyond_their_sum(measured):
    detector, batches, _ = measured
    answers = answers_of(detector, batches)
    student = calibrated(detector, uniform(minmax_spec(), 2), batches)
    order = second_order(student, answers)
    assert len(order.pairs) > 10
    first, fed = max(order.pairs, key=lambda pair: abs(order.pairs[pair]))
    own = [name for name, _ in quantizers(student) if name.rpartition(".")[0] in (first, fed)]
    with alone(student, own):
        both = movement(student, answers)
    assert order.pairs[first, fed] == pytest.approx(both - order.layers[first] - order.layers[fed])
    assert order.predicted == pytest.approx(sum(order.layers.values()) + sum(order.pairs.values()))
    assert not any(quantizer.is_on for _, quantizer in quantizers(student))
