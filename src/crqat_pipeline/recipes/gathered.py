"""What always travels together is one noun and one entry of the catalog: images, prompts, annotations, figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from crqat_pipeline.recipes.stage_data import TrainingData

Facts = dict[str, Any]


@dataclass(frozen=True)
class StageData:
    """What a QAT stage trains on, and what it is calibrated on."""

    training: TrainingData
    calibration: TrainingData


@dataclass(frozen=True)
class Benchmark(TrainingData):
    """Images with their prompts, and the annotations that score what is found in them; None where there are none."""

    annotations: Mapping[str, Any] | None


@dataclass(frozen=True)
class StudyData:
    """The data of a study. tuning: chooses learning rates; final, and the same images in LVIS format: are reported."""

    train: TrainingData
    qat: TrainingData
    calibration: TrainingData
    tuning: Benchmark
    final: Benchmark
    lvis: Benchmark


@dataclass(frozen=True)
class Measured:
    """What a report tells, as the nodes of the evaluation wrote it."""

    results: Facts
    form_facts: Facts
    latency: Facts
    similarity_maps: Facts
    group_ap: pd.DataFrame


class Gathered(NamedTuple):
    """makes: called with what the parts hold. parts: its argument -> entry of the catalog."""

    makes: Callable[..., object]
    parts: Mapping[str, str]


def _prompted(split: str, images: str, prompts: str = "") -> dict[str, str]:
    vocabulary, text_bank = f"{prompts}vocabulary", f"{prompts}text_bank"
    return {"split": split, "images": images, "vocabulary": vocabulary, "text_bank": text_bank}


GATHERED: Mapping[str, Gathered] = {
    "train_data": Gathered(TrainingData, _prompted("train_set", "train_images")),
    "qat_data": Gathered(TrainingData, _prompted("qat_set", "qat_images", "qat_")),
    "calibration_data": Gathered(TrainingData, _prompted("calibration_set", "qat_images", "qat_")),
    "stage_data": Gathered(StageData, {"training": "qat_data", "calibration": "calibration_data"}),
    # Calibration images with the prompts that are scored: what is exported is held against the student on them.
    "parity_data": Gathered(TrainingData, _prompted("calibration_set", "qat_images")),
    "val_benchmark": Gathered(Benchmark, _prompted("val_set", "val_images") | {"annotations": "val_annotations"}),
    "lvis_benchmark": Gathered(
        Benchmark, _prompted("val_set", "val_images", "lvis_") | {"annotations": "val_annotations_lvis"}
    ),
    "qat_benchmark": Gathered(Benchmark, _prompted("qat_set", "qat_images") | {"annotations": "qat_annotations"}),
    "tune_benchmark": Gathered(Benchmark, _prompted("tune_set", "tune_images") | {"annotations": "tune_annotations"}),
    "study_data": Gathered(
        StudyData,
        {
            "train": "train_data",
            "qat": "qat_data",
            "calibration": "calibration_data",
            "tuning": "tune_benchmark",
            "final": "val_benchmark",
            "lvis": "lvis_benchmark",
        },
    ),
    "measured": Gathered(
        Measured,
        {
            "results": "evaluation_results",
            "form_facts": "form_facts",
            "latency": "latency",
            "similarity_maps": "similarity_maps",
            "group_ap": "group_ap",
        },
    ),
}
"""Entry -> how it is made; an entry comes after its parts."""
