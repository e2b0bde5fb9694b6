"""Nodes of the study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.open_shapes import RenderedSplit
from crqat_pipeline.detection_data.prepared_split import PreparedSplit
from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.recipes.evaluation_run import truth
from crqat_pipeline.recipes.specs import EvaluationSpec, FetchDataSpec, NamedBuilderSpec, TeacherSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.reporting.study_page.page import results_page
from crqat_pipeline.structures.vocabulary import TextBank, Vocabulary
from crqat_pipeline.study.comparison import cells_by_method
from crqat_pipeline.study.problem import ScoredData, StudyProblem
from crqat_pipeline.study.run import run_study
from crqat_pipeline.study.spec import StudySpec
from crqat_pipeline.study.tuning_data import prepare_tuning, tuning_layout
from crqat_pipeline.training.tracker import Tracker

Annotations = Mapping[str, Any]

__all__ = ["prepare_tuning", "render_tuning", "run", "write_results"]


def render_tuning(spec: FetchDataSpec, study: StudySpec) -> tuple[RenderedSplit, dict[str, Any]]:
    """Images and annotations that choose learning rates and nothing else."""
    return tuning_layout(spec, study.tuning_images)


def run(
    train_images: ImageFolder,
    train_set: PreparedSplit,
    qat_images: ImageFolder,
    qat_set: PreparedSplit,
    calibration_set: PreparedSplit,
    tune_images: ImageFolder,
    tune_set: PreparedSplit,
    tune_annotations: Annotations,
    val_images: ImageFolder,
    val_set: PreparedSplit,
    val_annotations: Annotations,
    val_annotations_lvis: Annotations | None,
    vocabulary: Vocabulary,
    text_bank: TextBank,
    detector: NamedBuilderSpec,
    teacher: TeacherSpec,
    quantization: QuantSpec,
    evaluation: EvaluationSpec,
    device: str,
    study: StudySpec,
    folder: Path,
    rows: Path,
    tracker: Tracker,
) -> dict[str, pd.DataFrame]:
    """Chosen method -> its cells; finished ones are read from `rows`.

    Tuning cells of a method that merely lends its rate stay out: its own table has them beside its figures.
    """

    def data(split: PreparedSplit, images: ImageFolder) -> TrainingData:
        return TrainingData(split, images, vocabulary, text_bank)

    truths = {"coco": truth(val_annotations, vocabulary)}
    if val_annotations_lvis is not None:
        truths["lvis"] = truth(val_annotations_lvis, vocabulary)
    problem = StudyProblem(
        detector=detector,
        teacher=teacher,
        quantization=quantization,
        evaluation=evaluation,
        device=device,
        train=data(train_set, train_images),
        qat=data(qat_set, qat_images),
        calibration=data(calibration_set, qat_images),
        tuning=ScoredData(data(tune_set, tune_images), {"coco": truth(tune_annotations, vocabulary)}),
        final=ScoredData(data(val_set, val_images), truths),
    )

    def report(row: Mapping[str, Any]) -> None:
        prefix = f"{row['method']}/{row['phase']}/lr{row['learning_rate']:g}"
        figures = {f"{prefix}/{name}": value for name, value in row.items() if isinstance(value, float)}
        tracker.metrics(figures, int(row["seed"]))

    tables = cells_by_method(run_study(study, problem, folder, rows, report))
    return {name: tables[name] for name in study.chosen}


def write_results(
    cells: Mapping[str, pd.DataFrame], study: StudySpec, quantization: QuantSpec
) -> tuple[str, Figure, Figure, Figure]:
    """The page of tables, and the plots of paired differences, of the grid, and of alignment."""
    return results_page(pd.concat(list(cells.values()), ignore_index=True), study, quantization)
