"""The report is one offline page with every section its data has, and refuses figures that cannot be compared."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from crqat_pipeline.evaluation import evaluate
from crqat_pipeline.evaluation.alignment import AlignmentSummary
from crqat_pipeline.evaluation.comparison import ShownDetections
from crqat_pipeline.evaluation.confusion import ConfusionRow
from crqat_pipeline.evaluation.levels import LevelFigures
from crqat_pipeline.reporting.run_report.content import GalleryImage, HeatMapRow, LossCurve, ReportData, ReportForm
from crqat_pipeline.reporting.run_report.html_page import render_report
from crqat_pipeline.reporting.run_report.html_tables import cards, changes, headline
from crqat_pipeline.reporting.run_report.terminal_table import COLUMNS
from crqat_pipeline.reporting.run_report.which_layers import form_layers
from tests.support.evaluation_scenes import random_scene
from tests.unit.reporting.run_report.test_which_layers import GROUPS, LAYERS, SCORES


@pytest.fixture(scope="module")
def report() -> ReportData:
    truth, detections = random_scene(1, federated=True, num_images=8)
    worse = [{**one, "bbox": [v * 1.02 for v in one["bbox"]]} for one in detections]
    splits = {"seen": [2, 5], "novel": [8]}
    return ReportData(
        title="Tiny <b>detector</b>",
        forms=[
            ReportForm("FP32", evaluate(truth, detections, "lvis", category_splits=splits), 110.88, 51.82, 300.0),
            ReportForm("QAT", evaluate(truth, worse[::2], "lvis", category_splits=splits), 15.11, 7.1),
            ReportForm("CR-QAT", evaluate(truth, worse, "lvis", category_splits=splits), 15.11, 7.1),
        ],
        teacher="FP32",
        main="CR-QAT",
    )


def _full(report: ReportData) -> ReportData:
    shown = ShownDetections(np.array([[2.0, 2, 20, 20]]), ("cup",), np.array([0.9]))
    image = Image.new("RGB", (40, 30))
    summary = AlignmentSummary(2, 0.1, 0.2, 0.9, 0.5, 0.4, (0.1, 0.2), (0.0, 0.1), 1.0)
    return dataclasses.replace(
        report,
        facts={"Seed": "0"},
        loss_curves=[LossCurve("stage 1", range(40), {"task": np.linspace(2, 1, 40), "PKD": np.ones(40)})],
        confusions=[ConfusionRow("lamp", "ceiling fan", 4, 0.8, {"FP32": 0.0, "CR-QAT": 0.25})],
        gallery=[GalleryImage("one.jpg", image, {"FP32": shown, "QAT": shown.above(1.0), "CR-QAT": shown})],
        alignment={"QAT": summary, "CR-QAT": summary},
        heat_maps=[HeatMapRow("one.jpg: cup", {"Image": image, "FP32": image, "CR-QAT": image})],
        heat_map_range=(-0.25, 0.75),
        levels={"FP32": {"P3": LevelFigures(0.625, 0.31), "all": LevelFigures(1.0, 0.5)}},
        layers={"QAT": form_layers(LAYERS, GROUPS, SCORES), "CR-QAT": form_layers(LAYERS, GROUPS, SCORES[:0])},
        latency_where="median of 15 calls on a calculator",
        deployed="CR-QAT",
        split_meanings={"seen": "categories that were seen"},
    )


def _sections(html: str) -> list[str]:
    return re.findall(r'<section id="(\w+)"', html)


def test_one_offline_page_with_every_section(report: ReportData) -> None:
    html = render_report(_full(report))
    assert _sections(html) == [
        "forms", "groups", "categories", "confusion", "gallery", "alignment", "levels", "layers", "losses",
    ]  # fmt: skip
    sources = re.findall(r'(?:src|srcset|href)="([^"]{0,20})', html)
    assert all(one.startswith(("data:image/png", "#")) for one in sources)
    assert "<script" not in html
    assert "Tiny <b>" not in html
    assert "&lt;b&gt;detector&lt;/b&gt;" in html
    assert "LVIS box AP, the best 300 detections per image" in html
    assert "1 missed" in html
    assert "one.jpg: cup" in html
    assert html.count("AP in percent on the first 9 validation images.") == 1
    assert re.search(r"<td>b\.one\.weight</td><td>4</td><td class=\"bar\">0\.5<i.*\s+<td>20\.0</td><td>2 ", html)
    assert re.search(r"<td>b\.one</td><td>2</td>\s+<td class=\"bar\">0\.6<i.*</td>\s+<td>30\.0</td>", html)
    assert re.search(r"<td>P3</td><td>62\.5</td><td>31\.0</td>", html)
    assert re.search(r"-0\.25<i class=\"scale\".*#000004.*0\.75", html)
    assert "ms: median of 15 calls on a calculator." in html
    assert "categories that were seen" in html
    assert "Spearman&#39;s rank correlation" in html
    assert html.count("prefers-color-scheme: dark") > 3


def test_empty_sections_are_left_out(report: ReportData) -> None:
    assert _sections(render_report(report)) == ["forms", "groups", "categories"]


def test_a_teacher_alone_is_enough(report: ReportData) -> None:
    alone = dataclasses.replace(report, forms=report.forms[:1], main="FP32")
    assert _sections(render_report(alone)) == ["forms", "groups"]


def test_headline_marks_the_best_form_beside_the_teacher(report: ReportData) -> None:
    columns, rows = headline(report)
    titles = [column.title for column in columns]
    assert titles == ["AP", "AP50", "AP75", "APr", "APc", "APf", "novel", "seen", "MB", "TBOPs", "ms"]
    assert not any(cell.is_best for cell in rows["FP32"])
    best = {name: cells[0].is_best for name, cells in rows.items()}
    assert best == {"FP32": False, "QAT": False, "CR-QAT": True}
    assert [cell.text for cell in rows["QAT"]][-3:] == ["15.1", "7.10", "–"]
    assert [cell.is_best for cell in rows["QAT"]][-3:] == [False, False, False]  # both students alike


def test_columns_are_named_as_in_the_terminal_where_both_protocols_stand_side_by_side(report: ReportData) -> None:
    terminal = {title for title, *_ in COLUMNS}
    forms = [dataclasses.replace(form, other_figures={"AP": 0.5, "AP50": 0.7}) for form in report.forms]
    titles = [column.title for column in headline(dataclasses.replace(report, forms=forms))[0]]
    assert {"AP", "AP50", "LVIS AP", "APr", "APc", "APf", "MB"} == set(titles) & terminal
    assert {"LVIS AP50", "LVIS novel", "LVIS seen"} <= set(titles)
    assert cards(dataclasses.replace(report, forms=forms))[0][0] == "LVIS AP of CR-QAT"


def test_cards_compare_with_the_teacher(report: ReportData) -> None:
    shown = {what: meaning for what, _, meaning in cards(report)}
    assert shown["Size of CR-QAT"] == "7.3 × smaller"
    assert shown["Bit operations of CR-QAT"] == "7.3 × fewer"
    assert re.fullmatch(r"\d+ % of FP32", shown["AP of CR-QAT"])
    assert len(shown) == 3


@pytest.mark.parametrize(("latency_ms", "meaning"), [(100.0, "3.0 × faster"), (600.0, "2.0 × slower")])
def test_the_latency_card_is_of_the_deployed_form(report: ReportData, latency_ms: float, meaning: str) -> None:
    timed = dataclasses.replace(report.forms[1], latency_ms=latency_ms)
    forms = [report.forms[0], timed, report.forms[2]]
    assert cards(dataclasses.replace(report, forms=forms, deployed="QAT"))[-1] == (
        "Latency of QAT", f"{latency_ms:.1f} ms", meaning,
    )  # fmt: skip
    assert "Latency" not in str(cards(dataclasses.replace(report, forms=forms)))


def test_small_detectors_are_counted_in_smaller_units(report: ReportData) -> None:
    forms = [dataclasses.replace(form, bops_t=0.0635 if form.name == "FP32" else 0.0116) for form in report.forms]
    small = dataclasses.replace(report, forms=forms)
    columns, rows = headline(small)
    position = [column.title for column in columns].index("GBOPs")
    assert [cells[position].text for cells in rows.values()] == ["63.5", "11.6", "11.6"]
    assert ("Bit operations of CR-QAT", "11.6 G", "5.5 × fewer") in cards(small)


def test_nothing_is_best_where_all_are_equal(report: ReportData) -> None:
    same = [dataclasses.replace(form, evaluation=report.forms[0].evaluation) for form in report.forms]
    _, rows = headline(dataclasses.replace(report, forms=same))
    assert not any(cell.is_best for cells in rows.values() for cell in cells[:-3])


def test_changes_are_those_of_the_category_tables(report: ReportData) -> None:
    lost, gained = changes(report, report.form("QAT"))
    before = {row.category_id: row.ap for row in report.form("FP32").evaluation.per_category}
    for one in (*lost, *gained):
        assert one.delta == pytest.approx(100 * (one.category.ap - before[one.category.category_id]))
    assert lost
    assert [one.delta for one in lost] == sorted(one.delta for one in lost)
    assert max(one.width for one in (*lost, *gained)) == 100
    assert changes(report, report.form("FP32")) == ([], [])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"teacher": "FP"}, r"teacher must be one of its forms \['FP32', 'QAT', 'CR-QAT'\]; got 'FP'"),
        ({"main": "PTQ"}, "main must be one of"),
        ({"deployed": "ONNX"}, "deployed must be one of"),
        ({"forms": []}, "forms with different names"),
        ({"alignment": {"PTQ": None}}, r"Alignment may only name forms.*got \['PTQ'\]"),
    ],
)
def test_reports_that_make_no_sense(report: ReportData, change: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(report, **change)


def test_figures_of_two_protocols_are_not_put_side_by_side(report: ReportData) -> None:
    other = dataclasses.replace(report.forms[1].evaluation, protocol="lvis-fixed")
    with pytest.raises(ValueError, match="one protocol and one data set"):
        dataclasses.replace(report, forms=[report.forms[0], ReportForm("CR-QAT", other)])


def test_the_gallery_needs_the_teacher(report: ReportData) -> None:
    full = _full(report)
    del full.gallery[0].detections["FP32"]
    with pytest.raises(ValueError, match=r"needs the teacher 'FP32'.*'one.jpg' has \['QAT', 'CR-QAT'\]"):
        render_report(full)
