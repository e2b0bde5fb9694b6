"""Widths of single layers: which rule reaches which layer, and what is refused."""

import pytest
import torch
from pydantic import ValidationError

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.quantization import QuantSpec, cost, prepare
from crqat_pipeline.quantization.layers import QuantConv2d
from crqat_pipeline.quantization.width_rules import parse_rule

NAME = "yolo_world_open_shapes_2"


def prepared(widths, **options):
    with torch.device("meta"):
        detector = build_detector(NAME)
    summary = prepare(detector, QuantSpec.parse("4-4-8", widths=widths, **options))
    return detector, summary


def bits(detector, name):
    layer = detector.get_submodule(name)
    if not isinstance(layer, QuantConv2d):
        return "full"
    return layer.weight_quantizer.grid.bits, layer.input_quantizer.grid.bits


def test_without_rules_nothing_changes():
    assert str(prepared({})[1]) == str(prepared([])[1])
    assert QuantSpec.parse("4-4-8").notation == "4-4-8 Ch-T-H"
    assert "widths" not in QuantSpec.parse("4-4-8").model_dump(mode="json")


def test_parts_patterns_and_names_and_the_last_one_wins():
    detector, _ = prepared(
        {"backbone": {"activation": 8}, "backbone.stage1*": 5, "backbone.stage1.down.conv": {"weight": 3}}
    )
    assert bits(detector, "backbone.stage2.down.conv") == (4, 8)
    assert bits(detector, "backbone.stage1.down.conv") == (3, 5)
    assert bits(prepared({"backbone.stage1*": 5, "backbone": 6})[0], "backbone.stage1.down.conv") == (6, 6)


def test_edges_take_bits_and_a_rule_for_the_part_does_not_reach_them():
    with torch.device("meta"):
        edges = build_detector(NAME).quantization_contract.edge_layers
    plain, wide, other = prepared({})[0], prepared({"edges": 8})[0], prepared({"backbone": 6, "head": 6})[0]
    for name in edges:
        assert (bits(plain, name), bits(wide, name), bits(other, name)) == ("full", (8, 8), "full")
    assert bits(prepared({edges[0]: {"weight": 8, "activation": 8}})[0], edges[0]) == (8, 8)


def test_products_answer_to_their_kind():
    _, summary = prepared({"similarity": 8, "attention": 6})
    kinds = {row.kind: row.detail for row in summary.rows if "product" in row.kind and row.became == "quantized"}
    assert "8 bits" in kinds["similarity product"]
    assert all("6 bits" in detail for kind, detail in kinds.items() if kind == "attention product")
    assert not [
        row for row in prepared({"head": 8})[1].rows if row.kind == "similarity product" and "8 bits" in row.detail
    ]


def test_none_is_full_precision_and_says_which_rule():
    detector, summary = prepared({"neck": "none"})
    rows = [row for row in summary.rows if row.part == "neck" and row.kind == "convolution"]
    assert {row.became for row in rows} == {"full precision"}
    assert sum(row.detail == "rule neck=none" for row in rows) > 10
    assert bits(detector, "backbone.stage1.down.conv") == (4, 4)


def test_cost_follows():
    def figures(widths):
        with torch.device("meta"):
            return cost(build_detector(NAME), QuantSpec.parse("4-4-8", widths=widths), 128, 240).as_dict()

    plain, similar, edges = figures({}), figures({"similarity": 8}), figures({"edges": 8})
    assert similar["bops_t"] < plain["bops_t"]
    assert edges["size_mb"] < plain["size_mb"]


@pytest.mark.parametrize(
    ("widths", "text"),
    [
        ({"bakbone": 8}, r"got 'bakbone', which matches none\. Near: backbone"),
        ({"backbone": {"weight": "none"}}, r"widths of 'backbone\..*rule backbone=wnone.*weights and activations"),
        ({"attention": {"weight": 4}}, r"operands and no weights.*attention=w4"),
    ],
)
def test_rules_that_cannot_hold_are_refused(widths, text):
    with pytest.raises(ValueError, match=text):
        prepared(widths)


@pytest.mark.parametrize(
    ("widths", "text"),
    [
        ({"edges": 9}, "2 to 8, or none for full precision; got 9"),
        ({"edges": None}, "'edges' sets nothing"),
        ({"edges": "eight"}, "got 'eight'"),
        ({"edges": {"wieght": 4}}, "wieght"),
    ],
)
def test_widths_are_checked_when_they_are_read(widths, text):
    with pytest.raises(ValidationError, match=text):
        QuantSpec.parse("4-4-8", widths=widths)


def test_order_survives_a_record():
    spec = QuantSpec.parse("4-4-8", widths={"b*": 5, "backbone": {"activation": 6}, "a*": "none"})
    again = QuantSpec.model_validate_json(spec.model_dump_json())
    assert again == spec
    assert [rule.layers for rule in again.widths] == ["b*", "backbone", "a*"]
    assert spec.notation == "4-4-8 Ch-T-H b*=5 backbone=a6 a*=none"


def test_the_command_lines_form():
    assert (parse_rule("edges=8").weight, parse_rule("edges=8").activation) == (8, 8)
    assert (parse_rule("backbone.*=4-8").weight, parse_rule("backbone.*=4-8").activation) == (4, 8)
    assert parse_rule("similarity=none").activation == "none"
    for text in ("edges", "=8", "edges=8-8-8", "edges=x"):
        with pytest.raises(ValueError, match="written layers=bits"):
            parse_rule(text)
