"""The results page from hand-made cells: what it says, what is bold, and that its pictures draw."""

import io

import pandas as pd
import pytest

from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.reporting.study_page.figures import alignment_figure, differences_figure
from crqat_pipeline.reporting.study_page.page import results_page
from crqat_pipeline.study.cell import IMAGE_DRAWS
from crqat_pipeline.study.comparison import cells_by_method, compare, grid
from crqat_pipeline.study.costs import MethodCost
from tests.support.tiny_study import STUDY, cells_frame, study_spec

COSTS = {"qat": MethodCost(0.5, {6: 11.25}), "crqat": MethodCost(0.5, {6: 11.25})}


@pytest.fixture(scope="module")
def made():
    return results_page(cells_frame(), study_spec(seeds=[0, 1, 2], tuning_seeds=[5]), QuantSpec.parse("4-4-8"), COSTS)


def row_of(page: str, label: str, table: int = 0) -> list[str]:
    """Cells of the table-th row that begins with this label."""
    lines = [line for line in page.splitlines() if line.startswith(f"| {label} |")]
    return [cell.strip() for cell in lines[table].strip("|").split("|")]


def test_means_and_deviations_in_percent(made):
    """qat: 50, 51, 52; crqat: 52, 54, 53."""
    assert row_of(made[0], "QAT (LSQ)")[:4] == ["QAT (LSQ)", "0.0001", "51.0 ± 1.0", "60.0 ± 0.0"]
    assert row_of(made[0], "CR-QAT")[:4] == ["CR-QAT", "0.001", "53.0 ± 1.0", "60.0 ± 0.0"]
    assert row_of(made[0], "PTQ OMSE")[:3] == ["PTQ OMSE", "–", "41.0 ± 1.0"]


def test_only_differences_whose_interval_excludes_zero_are_bold(made):
    """crqat is 2, 3, 1 points above in AP: 2.00 ± 2.48 holds zero; ptq is 10 points below every time."""
    assert row_of(made[0], "CR-QAT")[6] == "+2.00 [-0.48, +4.48]"
    assert row_of(made[0], "PTQ OMSE")[6] == "**-10.00 [-10.00, -10.00]**"
    assert row_of(made[0], "CR-QAT")[8] == "+0.33 [-2.54, +3.20]"
    assert row_of(made[0], "QAT (LSQ)")[6:] == ["–", "–", "–"]


def test_a_difference_that_is_clear_alone_but_not_among_all_is_not_bold():
    """crqat gains 4, 2.8 and 2 points, p = 0.04: times two, among two such methods, it is no longer below 0.05."""
    cells = cells_frame()
    final = (cells["phase"] == "final") & (cells["method"] == "crqat")
    cells.loc[final, "AP"] = [0.54, 0.5382, 0.5401]
    alone = results_page(cells, study_spec(seeds=[0, 1, 2], tuning_seeds=[5]), QuantSpec.parse("4-4-8"), COSTS)[0]
    paired = compare(cells, study_spec())["crqat"].difference("AP")
    assert paired.is_clear
    assert 0.025 < paired.p_value < 0.05
    assert "**" in row_of(alone, "CR-QAT")[6]
    more = cells[cells["method"] == "crqat"].assign(method="again")
    methods = STUDY["methods"] | {"again": {"label": "Again"}}
    spec = study_spec(seeds=[0, 1, 2], tuning_seeds=[5], methods=methods)
    page = results_page(pd.concat([cells, more]), spec, QuantSpec.parse("4-4-8"), COSTS)[0]
    assert "**" not in row_of(page, "CR-QAT")[6]
    section = page.split("## What holds after Holm's correction")[1].split("##")[0]
    lines = {line.split("|")[2].strip(): line for line in section.splitlines() if line.startswith("| AP, of 3")}
    assert lines["CR-QAT"].rstrip(" |").endswith("no")
    assert lines["PTQ OMSE"].rstrip(" |").endswith("yes")


def test_alignment_and_seconds_stand_in_the_second_table(made):
    cells = row_of(made[0], "CR-QAT", 1)
    assert cells[1:5] == ["30.0 ± 0.0", "10.0 ± 0.0", "20.0 ± 0.0", "40.0 ± 0.0"]
    assert cells[5:] == ["0.2000", "0.1000", "+0.0000 [+0.0000, +0.0000]", "+0.0000 [+0.0000, +0.0000]", "12"]


def test_the_whole_grid_is_there_with_the_chosen_rates_in_bold(made):
    assert row_of(made[0], "QAT (LSQ)", 3) == ["QAT (LSQ)", "**40.0**", "30.0"]
    assert row_of(made[0], "CR-QAT", 3) == ["CR-QAT", "35.0", "**45.0**"]


def test_the_head_says_seeds_rates_bits_and_length(made):
    head = made[0].split("##")[0]
    for fact in ("4-4-8", "3 steps of 4 images", "seeds 0, 1, 2", "among 0.0001, 0.001", "other seeds (5)"):
        assert fact in " ".join(head.split()), fact


def test_methods_without_cells_are_named_as_not_run():
    methods = STUDY["methods"] | {"late": {"label": "Late"}}
    tables = [*STUDY["tables"], {"title": "Later", "methods": ["late"]}]
    tables[0] = tables[0] | {"methods": ["qat", "late"]}
    page = results_page(cells_frame(), study_spec(methods=methods, tables=tables), QuantSpec.parse("4-4-8"), COSTS)[0]
    assert "Not run: late." in page
    assert page.split("## Later")[1].strip().startswith("Not run.")


def test_cells_that_diverged_are_listed_and_left_out_of_the_means():
    cells = cells_frame()
    lost = (cells["method"] == "crqat") & (cells["seed"] == 2)
    figures = [name for name in cells.columns if name not in ("method", "phase", "seed", "learning_rate", "failed")]
    cells.loc[lost, figures] = float("nan")
    cells.loc[lost, "failed"] = "at step 3 trkd did not"
    page = results_page(cells, study_spec(seeds=[0, 1, 2], tuning_seeds=[5]), QuantSpec.parse("4-4-8"), COSTS)[0]
    assert "- crqat, rate 0.001, seed 2: at step 3 trkd did not" in page
    assert row_of(page, "CR-QAT")[2] == "53.0 ± 1.4"
    assert compare(cells, study_spec())["crqat"].difference("AP").num_seeds == 2


def test_a_page_without_failures_has_no_such_section(made):
    assert "diverged" not in made[0]
    assert "not paired" not in made[0]


def test_methods_are_paired_on_the_seeds_whose_teachers_have_the_same_weights():
    cells = cells_frame().assign(teacher="sha256:a")
    cells.loc[(cells["method"] == "crqat") & (cells["seed"] == 1), "teacher"] = "sha256:b"
    compared = compare(cells, study_spec())["crqat"]
    assert compared.seeds_of_other_teachers == [1]
    assert compared.difference("AP").num_seeds == 2
    assert compared.difference("AP").mean == pytest.approx(0.015)
    page = results_page(cells, study_spec(seeds=[0, 1, 2], tuning_seeds=[5]), QuantSpec.parse("4-4-8"), COSTS)[0]
    assert "- CR-QAT: 1" in page.split("## Seeds that are not paired")[1]


def test_a_teacher_that_is_not_recorded_is_no_known_teacher():
    cells = cells_frame()
    cells.loc[cells["method"] == "qat", "teacher"] = "sha256:a"
    assert compare(cells, study_spec())["crqat"].difference("AP") is None


def test_comparisons_keep_the_order_of_the_parameters_and_their_references():
    compared = compare(cells_frame(), study_spec())
    assert list(compared) == ["qat", "ptq_omse", "crqat"]
    assert compared["qat"].reference is None
    assert compared["crqat"].reference is compared["qat"]
    assert compared["crqat"].figures["AP"] == {0: pytest.approx(0.52), 1: pytest.approx(0.54), 2: pytest.approx(0.53)}


def test_a_reference_that_was_not_run_gives_no_difference():
    cells = cells_frame()
    compared = compare(cells[cells["method"] != "qat"], study_spec())
    assert compared["crqat"].reference is None
    assert compared["crqat"].difference("AP") is None


def test_the_grid_has_one_mean_per_rate_and_nan_where_a_seed_is_lost():
    cells = cells_frame()
    more = cells[cells["phase"] == "tuning"].assign(seed=6)
    more.loc[(more["method"] == "qat") & (more["learning_rate"] == 1e-3), "AP"] = float("nan")
    means = grid(pd.concat([cells, more]), study_spec(), "AP")
    assert means["crqat"] == [pytest.approx(0.35), pytest.approx(0.45)]
    assert means["qat"][0] == pytest.approx(0.4)
    assert means["qat"][1] != means["qat"][1]
    assert "ptq_omse" not in means


def test_pictures_draw_with_one_line_per_trained_method(made):
    _, differences, rates, alignment, pareto = made
    for figure in (differences, rates, alignment, pareto):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        assert buffer.tell() > 5000
    labels = [text.get_text() for text in differences.axes[0].get_yticklabels()]
    assert labels == ["CR-QAT"]
    assert [text.get_text() for text in rates.axes[0].get_legend().get_texts()] == ["QAT (LSQ)", "CR-QAT"]
    assert len(alignment.axes) == 2
    assert [axes.get_xlabel()[:4] for axes in pareto.axes] == ["bit ", "size"] * 2


def test_pictures_draw_when_nothing_was_compared():
    cells = cells_frame()
    _, *figures = results_page(cells[cells["method"] == "qat"], study_spec(), QuantSpec.parse("4-4-8"), COSTS)
    for figure in figures:
        figure.savefig(io.BytesIO(), format="png")


def test_methods_of_other_bits_have_a_panel_of_their_own():
    methods = STUDY["methods"] | {"crqat": STUDY["methods"]["crqat"] | {"bits": [3, 3, 8]}}
    rates = results_page(cells_frame(), study_spec(methods=methods), QuantSpec.parse("4-4-8"), COSTS)[2]
    lines = {axes.get_title(loc="left"): axes.get_legend_handles_labels()[1] for axes in rates.axes}
    assert lines == {"4-4-8": ["QAT (LSQ)"], "3-3-8": ["CR-QAT"]}


def test_tables_of_cells_have_the_same_columns_whatever_else_was_run():
    """Rows of earlier versions lack some figures; they come first, or not at all."""
    old = {"method": "qat", "phase": "tuning", "seed": 5, "learning_rate": 1e-4, "failed": "", "AP": 0.5}
    new = {"method": "crqat", "phase": "final", "seed": 0, "AR": 0.5, "teacher": "sha256:a", "AP": 0.4, "failed": ""}
    tables = cells_by_method([old, new | {"learning_rate": 1e-4}])
    assert list(tables) == ["qat", "crqat"]
    assert list(tables["qat"]) == ["method", "phase", "seed", "learning_rate", "failed", "AP"]
    assert list(tables["crqat"]) == ["method", "phase", "seed", "learning_rate", "teacher", "failed", "AP", "AR"]
    alone = cells_by_method([new | {"learning_rate": 1e-4}])["crqat"]
    assert list(alone) == list(tables["crqat"])


def test_accuracy_stands_beside_cost(made):
    section = made[0].split("## Accuracy against cost")[1].split("##")[0]
    line = next(line for line in section.splitlines() if line.startswith("| CR-QAT"))
    assert [cell.strip() for cell in line.strip("|").split("|")][:4] == ["CR-QAT", "0.500", "11.25", "53.0 ± 1.0"]


def test_the_interval_over_images_is_that_of_the_paired_draws():
    """Draws of qat are 40 and 50 % in every seed; crqat is 1, 2 and 3 points above on both."""
    cells = cells_frame()
    cells[IMAGE_DRAWS] = "0.40000 0.50000"
    for seed, above in enumerate((0.01, 0.02, 0.03)):
        of_seed = (cells["method"] == "crqat") & (cells["seed"] == seed) & (cells["phase"] == "final")
        cells.loc[of_seed, IMAGE_DRAWS] = f"{0.4 + above:.5f} {0.5 + 2 * above:.5f}"
    page = results_page(cells, study_spec(seeds=[0, 1, 2], tuning_seeds=[5]), QuantSpec.parse("4-4-8"), COSTS)[0]
    low, high = (float(part) for part in row_of(page, "CR-QAT")[-1].strip("[]").split(", "))
    assert low == pytest.approx(2.05)
    assert high == pytest.approx(3.95)
    assert row_of(page, "QAT (LSQ)")[-1] == "–"


def test_figures_that_nobody_has_get_no_column():
    cells = cells_frame().drop(columns=["AP_qat", "AP_unseen", "AP_novel"])
    page = results_page(cells, study_spec(seeds=[0, 1, 2], tuning_seeds=[5]), QuantSpec.parse("4-4-8"), COSTS)[0]
    assert "| rate | AP | Δ AP |" in page


def test_pictures_show_all_categories_where_the_annotations_know_no_groups():
    cells = cells_frame().drop(columns=["AP_qat", "AP_unseen", "AP_novel"])
    compared = list(compare(cells, study_spec()).values())
    differences = differences_figure(compared).axes[0]
    assert [text.get_text() for text in differences.get_legend().get_texts()] == ["all"]
    assert all(len(drawn.get_segments()) == 2 for drawn in differences.collections)
    panels = alignment_figure(compared).axes
    assert panels[0].get_ylabel() == "AP, %"
    assert sum(len(drawn.get_offsets()) for drawn in panels[0].collections) == len(cells[cells["phase"] == "final"])
