"""Nodes of the study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from crqat_pipeline.catalog_io.given import GIVEN
from crqat_pipeline.detection_data.open_shapes import RenderedSplit
from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.recipes.evaluation_run import truth, truth_of
from crqat_pipeline.recipes.gathered import StudyData
from crqat_pipeline.recipes.specs import EvaluationSpec, FetchDataSpec, NamedBuilderSpec, TeacherSpec
from crqat_pipeline.reporting.study_page.page import results_page
from crqat_pipeline.study.cell_data import without_images
from crqat_pipeline.study.comparison import cells_by_method
from crqat_pipeline.study.costs import method_costs
from crqat_pipeline.study.problem import ScoredData, StudyProblem
from crqat_pipeline.study.run import run_study
from crqat_pipeline.study.spec import StudySpec
from crqat_pipeline.study.tuning_data import held_out_annotations, prepare_tuning, tuning_layout
from crqat_pipeline.training.tracker import Tracker

__all__ = ["choose_tuning", "pose", "prepare_tuning", "run", "write_results"]


def choose_tuning(
    spec: FetchDataSpec, study: StudySpec, qat_annotations: Mapping[str, Any]
) -> tuple[RenderedSplit | str, dict[str, Any]]:
    """Images and annotations that choose learning rates and nothing else: rendered, or held out of the QAT data."""
    if study.tuning_source == "rendered":
        return tuning_layout(spec, study.tuning_images)
    return GIVEN, held_out_annotations(qat_annotations, study.tuning_images)


def pose(
    data: StudyData,
    detector: NamedBuilderSpec,
    teacher: TeacherSpec,
    quantization: QuantSpec,
    evaluation: EvaluationSpec,
    device: str,
    study: StudySpec,
) -> StudyProblem:
    """What every cell has in common. LVIS annotations score too where they have the prompts of COCO's."""
    truths = {"coco": truth_of(data.final)}
    if data.lvis.annotations is not None and data.lvis.text_bank.prompts == data.final.text_bank.prompts:
        truths["lvis"] = truth(data.lvis.annotations, data.final.vocabulary)
    return StudyProblem(
        detector=detector,
        teacher=teacher,
        quantization=quantization,
        evaluation=evaluation,
        device=device,
        train=data.train,
        qat=data.qat,
        tuning_qat=data.qat if study.tuning_source == "rendered" else without_images(data.qat, data.tuning),
        calibration=data.calibration,
        tuning=ScoredData(data.tuning, {"coco": truth_of(data.tuning)}),
        final=ScoredData(data.final, truths),
    )


def run(problem: StudyProblem, study: StudySpec, folder: Path, rows: Path, tracker: Tracker) -> dict[str, pd.DataFrame]:
    """Chosen method -> its cells; finished ones are read from `rows`.

    Tuning cells of a method that merely lends its rate stay out: its own table has them beside its figures.
    """

    def report(row: Mapping[str, Any]) -> None:
        prefix = f"{row['method']}/{row['phase']}/lr{row['learning_rate']:g}"
        figures = {f"{prefix}/{name}": value for name, value in row.items() if isinstance(value, float)}
        tracker.metrics(figures, int(row["seed"]))

    tables = cells_by_method(run_study(study, problem, folder, rows, report))
    return {name: tables[name] for name in study.chosen if name in tables}


def write_results(
    cells: Mapping[str, pd.DataFrame],
    study: StudySpec,
    quantization: QuantSpec,
    detector: NamedBuilderSpec,
    evaluation: EvaluationSpec,
) -> tuple[str, Figure, Figure, Figure, Figure]:
    """The page of tables, and the plots of paired differences, of the grid, of alignment, and of cost."""
    costs = method_costs(study, study.pareto.methods, detector, quantization, evaluation.image_size_px)
    return results_page(pd.concat(list(cells.values()), ignore_index=True), study, quantization, costs)
