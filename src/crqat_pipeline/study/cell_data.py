"""What a cell trains on and is calibrated on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.runtime.seeding import numpy_generator
from crqat_pipeline.study.problem import Phase, StudyProblem
from crqat_pipeline.study.spec import StudySpec


def trained_on(phase: Phase, problem: StudyProblem) -> TrainingData:
    """The QAT data; in tuning without the images that choose the rate, where these were taken from it."""
    return problem.tuning_qat if phase == "tuning" else problem.qat


def calibrated_on(phase: Phase, seed: int, study: StudySpec, problem: StudyProblem) -> TrainingData:
    """The run's calibration images, or a draw of this seed's own from what the cell trains on.

    Raises ValueError for a draw of more images than there are.
    """
    data = trained_on(phase, problem)
    if study.calibration_draw is None:
        return problem.calibration if data is problem.qat else without_images(problem.calibration, problem.tuning.data)
    if study.calibration_draw > len(data.split.images):
        raise ValueError(
            f"calibration_draw takes images of the QAT data without repetition; it asks for {study.calibration_draw} "
            f"of {len(data.split.images)}. Lower it."
        )
    order = numpy_generator(seed, "calibration_draw").permutation(len(data.split.images))
    return with_rows(data, order[: study.calibration_draw])


def without_images(data: TrainingData, others: TrainingData) -> TrainingData:
    """The data without the images of `others`, by id: both were cut from one file."""
    known = {image.id for image in others.split.images}
    rows = [row for row, image in enumerate(data.split.images) if image.id not in known]
    return with_rows(data, np.array(rows, np.int64))


def with_rows(data: TrainingData, rows: NDArray[np.int64]) -> TrainingData:
    """The data with these images, in this order."""
    return replace(data, split=data.split.with_images(data.split.images.take(rows)))
