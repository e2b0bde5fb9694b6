"""The embedded benchmark uses every level of the pyramid, before training and after; figures by level add up."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from crqat_pipeline.detection_data.annotated_vocabulary import vocabulary_from_annotations
from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.image_writer import write_images
from crqat_pipeline.detection_data.open_shapes import WORDS, OpenShapesSpec, draw_layout
from crqat_pipeline.detection_data.prepared_split import prepare_split
from crqat_pipeline.detectors import build_detector
from crqat_pipeline.model_files.rebuilding import rebuild
from crqat_pipeline.recipes.level_run import level_figures, level_target_shares
from crqat_pipeline.recipes.specs import EvaluationSpec, NamedBuilderSpec, RunSpec, TeacherSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.recipes.teacher import make_teacher
from crqat_pipeline.text_encoders.composed import ComposedTextEncoder
from crqat_pipeline.text_encoders.vocabulary_bank import bank_of_names
from tests.support.random_batches import small_detector
from tests.support.toy_detector import ToyDetector

SPEC = EvaluationSpec(image_size_px=128, batch_size=25, max_detections=20, backend="fast", alignment_images=50)
NUM_TRAIN, NUM_VAL, NUM_STEPS = 500, 50, 120
SMALLEST_SHARE = 0.1
"""A level below it hardly takes part."""


@cache
def _layout() -> Any:
    return draw_layout(
        OpenShapesSpec(num_train_images=NUM_TRAIN, num_val_images=NUM_VAL, num_tune_images=1, num_qat_images=1)
    )


def _data(split: str, folder: Path) -> TrainingData:
    rendered = _layout().rendered(split)
    write_images(folder, rendered.names, rendered.render, 1, fingerprint=rendered.fingerprint)
    vocabulary = vocabulary_from_annotations(_layout().annotations["val"])
    bank = bank_of_names(ComposedTextEncoder(WORDS, 64, 0), vocabulary)
    return TrainingData(prepare_split(_layout().annotations[split]), ImageFolder(folder), vocabulary, bank)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_first_boxes_give_every_level_objects_of_its_own(tmp_path: Path, seed: int) -> None:
    data = _data("val", tmp_path)
    torch.manual_seed(seed)
    detector = build_detector("yolo_world_open_shapes_2").train()
    with torch.no_grad():  # BatchNorm statistics, without which the maps of a random network fade to zero
        for _ in range(3):
            detector(torch.rand(8, 3, 128, 128), data.text_bank.embeddings_KD)
    shares = level_target_shares(detector, data, SPEC, "cpu")
    assert list(shares) == ["P3", "P4", "P5"]
    assert sum(shares.values()) == pytest.approx(1.0)
    assert min(shares.values()) > SMALLEST_SHARE


@pytest.mark.slow
def test_a_briefly_trained_teacher_uses_every_level(tmp_path: Path) -> None:
    loader = {"image_size_px": 128, "batch_size": 16, "num_prompts": 40, "flip_probability": 0.5}
    optimization = {
        "num_steps": NUM_STEPS, "learning_rate": 3e-3, "weight_decay": 0.05, "warmup_steps": 20,
        "max_gradient_norm": 10.0, "ema_decay": 0.98,
    }  # fmt: skip
    trained = make_teacher(
        NamedBuilderSpec(name="yolo_world_open_shapes_2"),
        _data("train", tmp_path / "train"),
        TeacherSpec.model_validate({"loader": loader, "optimization": optimization}),
        RunSpec(seed=0, device="cpu"),
    )
    shares = level_target_shares(rebuild(trained.student).detector, _data("val", tmp_path / "val"), SPEC, "cpu")
    assert min(shares.values()) > SMALLEST_SHARE, shares


def test_figures_of_each_level_and_of_all(tmp_path: Path) -> None:
    data, annotations = _data("val", tmp_path / "images"), _layout().annotations["val"]
    spec = SPEC.model_copy(update={"level_images": 8, "alignment_images": 10})
    figures = level_figures(small_detector(), data, annotations, spec, "cpu", "teacher", tmp_path / "resume")
    assert list(figures) == ["P3", "P4", "P5", "all"]
    assert figures["all"].target_share == 1.0
    assert all(0 <= one.ap <= 1 for one in figures.values())
    none = spec.model_copy(update={"level_images": 0})
    assert level_figures(small_detector(), data, annotations, none, "cpu", "teacher", tmp_path / "resume") == {}


def test_a_detector_without_a_pyramid_has_no_figures_by_level(tmp_path: Path) -> None:
    data = _data("val", tmp_path / "images")
    bank = replace(data.text_bank, embeddings_KD=data.text_bank.embeddings_KD[:, :6])
    data = replace(data, text_bank=bank)
    figures = level_figures(ToyDetector(), data, _layout().annotations["val"], SPEC, "cpu", "toy", tmp_path / "resume")
    assert figures == {}
