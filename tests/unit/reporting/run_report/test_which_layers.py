"""Quantizers and groups as the report tells them: the largest movement first, rank by SQNR and AP beside."""

from __future__ import annotations

from math import inf

import pandas as pd
import pytest

from crqat_pipeline.reporting.run_report.which_layers import form_layers, short

LAYERS = pd.DataFrame(
    [("b.one", "weight", 4, 20.0, 0.5), ("b.one", "input", 4, 5.0, 0.05), ("n.two", "weight", 8, inf, 0.0)],
    columns=["layer", "tensor", "bits", "sqnr_db", "movement"],
)
LAYERS["name"] = LAYERS["layer"] + "." + LAYERS["tensor"] + "_quantizer"
GROUPS = pd.DataFrame(
    [
        ("whole", "everything", 3, 0.8),
        ("block", "n.two", 1, 0.0),
        ("block", "b.one", 2, 0.6),
        ("tensor of part", "b weights", 1, 0.5),
    ],
    columns=["kind", "group", "quantizers", "movement"],
)
SCORES = pd.DataFrame(
    [
        ("ptq", "whole", "nothing", 0, 9, 0.75),
        ("ptq", "whole", "everything", 3, 9, 0.25),
        ("ptq", "block", "b.one", 2, 9, 0.3),
    ],
    columns=["form", "kind", "group", "quantizers", "images", "AP"],
)


def test_the_largest_movement_comes_first_with_its_rank_by_sqnr() -> None:
    told = form_layers(LAYERS, GROUPS, SCORES)
    assert [(one.name, one.noise_rank, one.width) for one in told.worst] == [
        ("b.one.weight", 2, 100.0),
        ("b.one.input", 1, 10.0),
        ("n.two.weight", 3, 0.0),
    ]
    assert told.num_quantizers == 3
    assert told.correlation == pytest.approx(0.5)


def test_groups_have_their_ap_where_it_was_measured() -> None:
    told = form_layers(LAYERS, GROUPS, SCORES)
    assert told.ap_images == 9
    rows = {title: [(row.name, row.movement, row.ap) for row in table] for title, table in told.groups.items()}
    assert rows == {
        "All quantizers": [("nothing", None, 0.75), ("everything", 0.8, 0.25)],
        "Blocks": [("b.one", 0.6, 0.3), ("n.two", 0.0, None)],
        "Kinds of tensor by part": [("b weights", 0.5, None)],
    }
    without = form_layers(LAYERS, GROUPS, SCORES[:0])
    assert without.ap_images == 0
    assert [row.name for row in without.groups["All quantizers"]] == ["everything"]


def test_colours_are_strong_where_it_is_bad() -> None:
    heat = form_layers(LAYERS, GROUPS, SCORES).heat
    shown = {layer: [cell and (cell.text, round(cell.strength, 6)) for cell in cells] for layer, cells in heat.items()}
    assert shown == {
        "b.one": [("20.0", 0.0), ("5.0", 1.0), ("0.5", 1.0), ("0.05", 0.75)],
        "n.two": [("inf", 0.0), None, ("0", 0.0), None],
    }


def test_numbers_are_short() -> None:
    assert [short(value) for value in (12.3, 0.1234, 0.00123, 0.0000123, 0.0)] == ["12", "0.12", "0.0012", "1e-05", "0"]
