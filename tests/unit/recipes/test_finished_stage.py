"""A finished stage is taken where everything it depends on is equal; otherwise it is trained, and the log says why."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.recipes.finished_stage import StageKeep
from crqat_pipeline.recipes.specs import NamedBuilderSpec, RunSpec, TeacherSpec
from crqat_pipeline.recipes.stage_data import StageResult, TrainingData
from crqat_pipeline.recipes.teacher import make_teacher
from tests.support.tiny_study import study_problem

DETECTOR = NamedBuilderSpec(name="yolo_world_open_shapes")
NUM_STEPS = 2
TAKEN = "teacher: taken as it was trained from the same inputs; to train it again: --params run.reuse=false"
OTHER = "teacher: the result that is there is of another training ({})"


def teacher_spec(learning_rate: float = 1e-3) -> TeacherSpec:
    return TeacherSpec(
        loader={"image_size_px": 64, "batch_size": 2, "num_prompts": 4},
        optimization={"num_steps": NUM_STEPS, "learning_rate": learning_rate, "log_every_steps": 1},
    )


class CountedSteps:
    """A tracker that counts what it is told, once per step."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def metrics(self, values: Any, step: int) -> None:
        self.steps.append(step)


@dataclass
class Finished:
    """A teacher that was trained, and the folder where its result is kept."""

    folder: Path
    data: TrainingData
    result: StageResult

    @property
    def file(self) -> Path:
        return self.folder / "finished.safetensors"

    def again(
        self, data: TrainingData | None = None, *, learning_rate: float = 1e-3, seed: int = 0, reuse: bool = True
    ) -> tuple[int, StageResult]:
        """The same stage once more, as a run does it; returns how many steps it trained and its result."""
        return trained(self.folder, data or self.data, learning_rate, seed, reuse)


def trained(
    folder: Path, data: TrainingData, learning_rate: float = 1e-3, seed: int = 0, reuse: bool = True
) -> tuple[int, StageResult]:
    counted = CountedSteps()
    checkpoints = folder / "resume"
    checkpoints.mkdir(parents=True, exist_ok=True)
    keep = StageKeep.beside(checkpoints, take=reuse)
    run = RunSpec(seed=seed, device="cpu", reuse=reuse)
    result = make_teacher(DETECTOR, data, teacher_spec(learning_rate), run, keep, counted)
    return len(counted.steps), result


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> TrainingData:
    return study_problem(tmp_path_factory.mktemp("images")).qat


@pytest.fixture(scope="module")
def trained_once(drawn, tmp_path_factory) -> Finished:
    folder = tmp_path_factory.mktemp("stage") / "teacher"
    steps, result = trained(folder, drawn)
    assert steps == NUM_STEPS
    return Finished(folder, drawn, result)


@pytest.fixture
def finished(trained_once, tmp_path) -> Finished:
    """A copy of the stage's folder for each test."""
    return replace(trained_once, folder=Path(shutil.copytree(trained_once.folder, tmp_path / "teacher")))


@pytest.fixture
def log(caplog) -> Iterator[pytest.LogCaptureFixture]:
    """What the package logs, also where an earlier run in this process keeps its lines from the root logger."""
    logger = logging.getLogger("crqat_pipeline")
    level, propagates = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = True
    yield caplog
    logger.setLevel(level)
    logger.propagate = propagates


def test_equal_inputs_are_taken_to_the_bit(finished, log):
    steps, result = finished.again()
    assert steps == 0
    assert log.messages == [TAKEN]
    expected = finished.result.student
    assert result.student.metadata == expected.metadata
    assert list(result.student.tensors) == list(expected.tensors)
    assert all(torch.equal(value, expected.tensors[name]) for name, value in result.student.tensors.items())
    assert (result.metrics, result.history) == (finished.result.metrics, finished.result.history)
    assert list(finished.folder.iterdir()) == [finished.file]


def test_another_learning_rate_and_seed_are_named(finished, log):
    steps, _ = finished.again(learning_rate=2e-3, seed=1)
    assert steps == NUM_STEPS
    words = "seed 0 there, 1 now; teacher.optimization.learning_rate 0.001 there, 0.002 now"
    assert log.messages == [OTHER.format(words)]


def test_other_pixels_are_named(finished, log, tmp_path):
    copies = tmp_path / "images"
    copies.mkdir()
    for image in finished.data.split.images:
        (copies / image.file_name).write_bytes(finished.data.images.locate(image.file_name).read_bytes())
    same = replace(finished.data, images=ImageFolder(copies))
    assert finished.again(same)[0] == 0  # the pixels count, not the folder

    path = copies / finished.data.split.images[0].file_name
    with Image.open(path) as picture:
        changed = picture.convert("RGB")
    changed.putpixel((0, 0), tuple(255 - value for value in changed.getpixel((0, 0))))
    changed.save(path)
    assert finished.again(same)[0] == NUM_STEPS
    assert log.messages == [TAKEN, OTHER.format("images: other content")]


def test_photographs_that_are_no_longer_turned_upright_are_named(finished, log):
    as_stored = ImageFolder(finished.data.images.root, exif_orientation="ignore")
    assert finished.again(replace(finished.data, images=as_stored))[0] == NUM_STEPS
    assert log.messages == [OTHER.format("images.exif_orientation not set there, ignore now")]


def test_another_text_bank_is_named(finished, log):
    bank = finished.data.text_bank
    other = replace(finished.data, text_bank=replace(bank, embeddings_KD=bank.embeddings_KD.roll(1, dims=0)))
    assert finished.again(other)[0] == NUM_STEPS
    assert log.messages == [OTHER.format("text_bank: other content")]


def test_reuse_false_trains_again_and_says_so(finished, log):
    assert finished.again(reuse=False)[0] == NUM_STEPS
    assert log.messages == ["teacher: trained again, as run.reuse=false asks"]


def test_a_figure_that_was_changed_in_the_header_is_noticed(finished, log):
    content = finished.file.read_bytes()
    place = content.index(b"reports")
    digit = next(n for n in range(place, len(content)) if content[n : n + 1].isdigit())
    other = b"1" if content[digit : digit + 1] != b"1" else b"2"
    finished.file.write_bytes(content[:digit] + other + content[digit + 1 :])
    steps, _ = finished.again()
    assert steps == NUM_STEPS
    assert "is damaged" in log.messages[-1]


def test_a_damaged_result_is_trained_again(finished, log):
    content = bytearray(finished.file.read_bytes())
    content[-1] ^= 1
    finished.file.write_bytes(content)
    assert finished.again()[0] == NUM_STEPS
    (line,) = log.messages
    assert line.endswith("is damaged (its bytes are not those that were written); trained again")
    assert finished.again()[0] == 0

    finished.file.write_bytes(content[: len(content) // 2])
    assert finished.again()[0] == NUM_STEPS
    assert "is damaged" in log.messages[-1]
