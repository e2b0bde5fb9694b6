"""Figures 1 and 3 show the numbers of the summaries."""

from __future__ import annotations

import math

import pytest

from crqat_pipeline.evaluation.alignment import AlignmentSummary
from crqat_pipeline.reporting.run_report.alignment_figure import PANELS, alignment_figure, distortion_figure
from crqat_pipeline.reporting.run_report.themed_figure import LIGHT, form_colours


def _summary(rr_mae: float = 0.25, rho: float = -0.5) -> AlignmentSummary:
    return AlignmentSummary(2, 0.125, rr_mae, 0.75, 0.5, 0.375, (0.1, 0.3), (0.0, 0.2), rho)


def test_a_panel_per_measure_and_a_bar_per_form() -> None:
    summaries = {"QAT": _summary(), "CR-QAT": _summary(rr_mae=math.nan)}
    figure = alignment_figure(summaries, form_colours(["QAT", "CR-QAT"], LIGHT), LIGHT)
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(PANELS)
    widths = [[bar.get_width() for bar in axes.patches] for axes in figure.axes]
    assert widths == [[0.125, 0.125], [0.25, 0.0], [0.75, 0.75], [0.375, 0.375]]
    assert [text.get_text() for text in figure.axes[1].texts] == ["0.2500", "–"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["QAT", "CR-QAT"]
    assert [len(axes.lines) for axes in figure.axes] == [0, 0, 0, 1]
    assert set(figure.axes[3].lines[0].get_xdata()) == {0.5}


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_dot_per_group_on_one_scale(number: int) -> None:
    summaries = {f"form {i}": _summary(rho=math.nan if i == 2 else -0.5) for i in range(number)}
    figure = distortion_figure(summaries, form_colours(list(summaries), LIGHT), LIGHT)
    shown = [axes for axes in figure.axes if axes.axison]
    assert len(shown) == number
    assert {(axes.get_xlim(), axes.get_ylim()) for axes in shown} == {((0, 0.3 * 1.05), (0, 0.2 * 1.05))}
    assert shown[0].collections[0].get_offsets().tolist() == [[0.1, 0.0], [0.3, 0.2]]
    assert shown[0].get_title() == "form 0   ρ = −0.50"
    assert shown[-1].get_title().endswith("ρ = –" if number == 3 else "−0.50")


def test_no_form_is_an_empty_figure() -> None:
    assert not [axes for axes in distortion_figure({}, {}, LIGHT).axes if axes.axison]


def test_eight_forms_have_eight_colours() -> None:
    assert len(set(form_colours([str(i) for i in range(8)], LIGHT).values())) == 8
