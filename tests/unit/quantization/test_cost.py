from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner

from crqat_pipeline.cli.cost import command
from crqat_pipeline.detectors import build_detector
from crqat_pipeline.quantization import QuantSpec, calibrate, cost, prepare
from tests.support.toy_detector import ToyDetector, toy_inputs

SPEC = QuantSpec.parse("4-4-8")


@pytest.mark.parametrize(
    ("bits", "num_prompts", "size_mb", "bops_t"),
    [(None, 1203, 110.88, 51.82), (None, 80, 110.88, 44.56), ("4-4-8", 1203, 15.11, 7.10), ("4-4-8", 80, 15.11, 2.05)],
)
def test_yolo_world_m_costs_what_the_paper_says(bits, num_prompts, size_mb, bops_t):
    with torch.device("meta"):
        detector = build_detector("yolo_world_m", version=1)
    report = cost(detector, bits and QuantSpec.parse(bits), 640, num_prompts)
    assert report.size_mb == pytest.approx(size_mb, rel=0.005)
    assert report.bops_t == pytest.approx(bops_t, rel=0.005)
    assert report.params == 29_065_294


@pytest.mark.parametrize(("num_prompts", "bops_t"), [(80, 3.09), (1203, 8.18)])
def test_yolo_world_l_costs_what_the_paper_says(num_prompts, bops_t):
    with torch.device("meta"):
        detector = build_detector("yolo_world_l", version=1)
    report = cost(detector, SPEC, 640, num_prompts)
    assert report.bops_t == pytest.approx(bops_t, rel=0.005)
    assert report.size_mb == pytest.approx(24.3, rel=0.01)
    full = cost(detector, None, 640, num_prompts)
    assert full.params == 47_553_954
    if num_prompts == 80:
        assert full.macs_g == pytest.approx(88.48, rel=0.001)


def test_hand_counted_toy():
    report = cost(ToyDetector(), SPEC, 8, 5)  # stem 4x4 cells, then 2x2
    macs = {row.name: row.macs for row in report.layers}
    assert macs == {
        "backbone.stem": 16 * 8 * 27,
        "backbone.conv": 4 * 12 * 72,
        "neck.mix": 4 * 12 * 4,
        "neck.guide": 5 * 12 * 6,
        "neck.product": 3 * 5 * 4 * 4,
        "head.hidden": 4 * 16 * 108,
        "head.embed": 4 * 6 * 16,
        "head.box": 4 * 4 * 16,
        "head.similarity": 4 * 5 * 6,
    }
    bits = {row.name: row.bits for row in report.layers}
    assert (bits["backbone.stem"], bits["backbone.conv"], bits["neck.product"], bits["head.similarity"]) == (
        (32, 32),
        (4, 4),
        (8, 8),
        (32, 32),
    )
    assert report.bops_t * 1e12 == pytest.approx(sum(row.macs * row.bits[0] * row.bits[1] for row in report.layers))
    low = macs["backbone.conv"] + macs["neck.mix"] + macs["neck.guide"] + macs["head.hidden"]
    assert report.bops_above_4_bits == pytest.approx(1 - low * 16 / (report.bops_t * 1e12))
    quantized = {"backbone.conv": 864, "neck.mix": 48, "neck.guide": 72, "head.hidden": 1728}
    other = sum(parameter.numel() for parameter in ToyDetector().parameters()) - sum(quantized.values())
    steps = (12 + 12 + 12 + 16) * 4 + 4 * 8 + 2 * 3 * 8  # weights; inputs; two operands of three heads
    assert report.size_mb * 2**20 == other * 4 + sum(quantized.values()) / 2 + steps
    assert sum(row.bops_share for row in report.classes) == pytest.approx(1.0)


def test_cost_needs_no_weights_and_changes_nothing():
    detector = ToyDetector().train()
    state = {name: tensor.clone() for name, tensor in detector.state_dict().items()}
    report = cost(detector, SPEC, 16, 7)
    assert cost(ToyDetector().to("meta"), SPEC, 16, 7) == report
    assert detector.training
    assert all(torch.equal(tensor, state[name]) for name, tensor in detector.state_dict().items())
    prepare(detector, SPEC)
    assert cost(detector, None, 16, 7) == report
    calibrate(detector, [toy_inputs()], ["backbone", "neck", "head"])
    assert cost(detector, None, 16, 7) == report


def test_refusals():
    with pytest.raises(ValueError, match=r"multiple of 4; got 10\. Use 8"):
        cost(ToyDetector(), None, 10, 5)
    with pytest.raises(ValueError, match=r"at least 1; got 0"):
        cost(ToyDetector(), None, 8, 0)


def test_command_prints_json_and_a_table():
    arguments = ["--detector", "yolo_world_open_shapes", "--prompts", "5", "--image-size", "64"]
    answer = json.loads(CliRunner().invoke(command, [*arguments, "--json"]).stdout)
    assert {"size_mb", "bops_t", "params"} <= set(answer)
    table = CliRunner().invoke(command, [*arguments, "--layers"]).stdout
    assert "BOPs" in table
    assert "backbone.stem.conv" in table
    refused = CliRunner().invoke(command, [*arguments, "--bits", "4-9-8"])
    assert refused.exit_code == 1
    assert "got 9" in refused.output
