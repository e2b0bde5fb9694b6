"""A plan is data: cumulative parts, disjoint windows, impossible plans refused."""

from itertools import pairwise

import pytest

from crqat_pipeline.curriculum.plan import PLANS, CurriculumPlan, PlannedStage, windows


def test_two_stages_split_one_third_to_two_thirds():
    first, second = windows(PLANS["two_stage"])
    assert first.parts == ("backbone",)
    assert second.parts == ("backbone", "neck", "head")
    assert (first.data_start, first.data_stop) == (0, pytest.approx(1 / 3))
    assert (second.data_start, second.data_stop) == (pytest.approx(1 / 3), 1)


@pytest.mark.parametrize("name", PLANS)
def test_windows_tile_the_data(name):
    rows = windows(PLANS[name])
    assert rows[0].data_start == 0
    assert rows[-1].data_stop == 1
    assert all(a.data_stop == b.data_start for a, b in pairwise(rows))


def test_shares_that_do_not_sum_to_one_are_refused_with_the_sum():
    with pytest.raises(ValueError, match=r"sum to 1; these sum to 0\.5"):
        CurriculumPlan(stages=(PlannedStage(name="a", adds=("backbone",), share=0.5),))


def test_a_part_added_twice_is_refused():
    stage = {"adds": ("neck",), "share": 0.5}
    with pytest.raises(ValueError, match="added by one stage only"):
        CurriculumPlan(stages=(PlannedStage(name="a", **stage), PlannedStage(name="b", **stage)))
