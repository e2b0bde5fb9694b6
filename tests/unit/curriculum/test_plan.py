"""A plan is data: cumulative parts, disjoint windows, impossible plans refused."""

from itertools import pairwise

import pytest
from pydantic import ValidationError

from crqat_pipeline.curriculum.plan import PLANS, REST, CurriculumPlan, PlannedStage, windows
from crqat_pipeline.detectors.family import PARTS


def test_two_stages_split_one_third_to_two_thirds():
    first, second = windows(PLANS["two_stage"], PARTS)
    assert first.parts == ("backbone",)
    assert second.parts == ("backbone", "neck", "head")
    assert (first.data_start, first.data_stop) == (0, pytest.approx(1 / 3))
    assert (second.data_start, second.data_stop) == (pytest.approx(1 / 3), 1)


@pytest.mark.parametrize("name", PLANS)
def test_windows_tile_the_data(name):
    rows = [row for row in windows(PLANS[name], PARTS) if not row.stage.sees_all_images]
    if rows:
        assert len(rows) == len(PLANS[name].stages)
        assert (rows[0].data_start, rows[-1].data_stop) == (0, 1)
        assert all(a.data_stop == b.data_start for a, b in pairwise(rows))


def test_a_stage_that_sees_all_images_leaves_the_windows_of_the_others_where_they_are():
    def plan(**middle):
        stages = ({"adds": 1}, {"adds": 1, **middle}, {"adds": REST})
        return CurriculumPlan(
            stages=tuple(
                PlannedStage(name=f"s{i}", share=share, **one)
                for i, (share, one) in enumerate(zip((0.25, 0.5, 0.25), stages, strict=True))
            )
        )

    plain, wide = windows(plan(), PARTS), windows(plan(sees_all_images=True), PARTS)
    assert [(one.data_start, one.data_stop) for one in plain] == [(0, 0.25), (0.25, 0.75), (0.75, 1)]
    assert [(one.data_start, one.data_stop) for one in wide] == [(0, 0.25), (0, 1), (0.75, 1)]
    assert [one.parts for one in wide] == [one.parts for one in plain]


@pytest.mark.parametrize("name", PLANS)
def test_every_plan_ends_with_the_whole_detector(name):
    rows = windows(PLANS[name], PARTS)
    assert rows[-1].parts == ("backbone", "neck", "head")
    assert all(later.parts[: len(sooner.parts)] == sooner.parts for sooner, later in pairwise(rows))
    assert sum(row.stage.share for row in rows) == pytest.approx(1)


def test_three_stages_add_one_part_each_on_a_third_of_the_data():
    rows = windows(PLANS["three_stage"], PARTS)
    assert [row.parts for row in rows] == [("backbone",), ("backbone", "neck"), ("backbone", "neck", "head")]
    assert [row.data_stop - row.data_start for row in rows] == pytest.approx([1 / 3] * 3)


def test_the_first_stage_of_a_curriculum_leaves_trkd_out():
    """Only then does the teacher run its backbone alone (paper, cost of stage 1)."""
    for name in ("two_stage", "two_stage_half", "three_stage"):
        first, *later = PLANS[name].stages
        assert first.terms == ("pkd",)
        assert all(set(stage.terms) == {"pkd", "trkd", "qfd", "vocabulary"} for stage in later)


def test_the_corrected_plan_ends_with_gain_and_shift_alone():
    first, last = windows(PLANS["corrected"], PARTS)
    assert (first.stage.trains, last.stage.trains) == ("weights", "correction")
    assert (first.parts, first.data_start, first.data_stop) == (last.parts, last.data_start, last.data_stop)
    assert last.stage.share == 1 / 8


def test_shares_that_do_not_sum_to_one_are_refused_with_the_sum():
    with pytest.raises(ValueError, match=r"sum to 1; these sum to 0\.5"):
        CurriculumPlan(stages=(PlannedStage(name="a", adds=REST, share=0.5),))


@pytest.mark.parametrize("adds", [1, REST])
def test_parts_after_the_rest_are_refused(adds):
    stages = (PlannedStage(name="a", adds=REST, share=0.5), PlannedStage(name="b", adds=adds, share=0.5))
    with pytest.raises(ValueError, match=f"No part is left after 'a'; 'b' adds {adds}"):
        CurriculumPlan(stages=stages)


def test_a_detector_with_other_parts_goes_through_the_same_plan():
    parts = ("encoder", "decoder")
    assert [row.parts for row in windows(PLANS["two_stage"], parts)] == [("encoder",), parts]
    with pytest.raises(ValueError, match=r"'stage3_head' adds rest .* encoder, decoder, which are 0\."):
        windows(PLANS["three_stage"], parts)


def test_a_first_stage_without_parts_is_refused_by_name():
    stages = (PlannedStage(name="warm_up", adds=0, share=0.5), PlannedStage(name="b", adds=REST, share=0.5))
    with pytest.raises(ValueError, match=r"first stage of a plan adds at least one part; 'warm_up' adds none"):
        CurriculumPlan(stages=stages)


@pytest.mark.parametrize(
    "wrong", [{"terms": ("pdk",)}, {"rate_factor": 0}, {"share": 0}, {"trains": "bias"}, {"part": "neck"}, {"adds": -1}]
)
def test_impossible_stages_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        PlannedStage.model_validate({"name": "a", "adds": 1, "share": 1.0} | wrong)


def test_a_plan_that_never_quantizes_weights_is_refused():
    stage = PlannedStage(name="only", adds=REST, share=1.0, quantizes="activations")
    with pytest.raises(ValidationError, match="'only' quantizes activations alone"):
        CurriculumPlan(stages=(stage,))
