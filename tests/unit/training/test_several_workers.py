"""Workers that share every batch train as one process does: losses, weights, averages, and what is refused."""

from __future__ import annotations

import copy
import logging
import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from crqat_pipeline.curriculum.apply import train_only
from crqat_pipeline.distillation.objective import DistillationSpec
from crqat_pipeline.quantization import (
    QuantSpec,
    calibrate,
    hold_zero_points,
    prepare,
    quantizer_parameters,
    set_quantized,
)
from crqat_pipeline.recipes.worker_fault import has_fault, raise_fault, told_fault
from crqat_pipeline.runtime.joint_outcome import OtherWorkerError
from crqat_pipeline.runtime.ranks import is_first, num_ranks, rank, state_of_first, together
from crqat_pipeline.structures.batch import DetectionBatch, ImageTargets
from crqat_pipeline.training.loop import train
from crqat_pipeline.training.non_finite import NonFiniteLossError
from crqat_pipeline.training.spec import OptimizationSpec
from crqat_pipeline.training.task import DistillationTask, SupervisedTask
from tests.support.toy_detector import ToyDetector
from tests.support.two_workers import on_workers

NUM_STEPS, NUM_IMAGES = 30, 3
"""An odd number of images: the workers' parts differ in size."""
SPEC = OptimizationSpec(
    num_steps=NUM_STEPS,
    learning_rate=1e-3,
    max_gradient_norm=10.0,
    ema_decay=0.9,
    log_every_steps=1,
    accumulation_steps=1,
)
BITS = QuantSpec.parse("4-4-8", weight_initialization="minmax", activation_initialization="minmax")
STAGES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "stage 1": (("backbone",), {"pkd": {"weight": 6.0}}),
    "stage 2": (("backbone", "neck", "head"), {"pkd": {"weight": 6.0}, "trkd": {"weight": 6.0}}),
    "vocabulary": (
        ("backbone", "neck", "head"),
        {"task_weight": 0.0, "pkd": {"weight": 6.0}, "qfd": {"weight": 0.5}, "vocabulary": {}},
    ),
}


def own_part(batch: DetectionBatch) -> DetectionBatch:
    """This worker's images of a batch, with their prompts."""
    count = len(batch.targets)
    rows = slice(rank() * count // num_ranks(), (rank() + 1) * count // num_ranks())
    return DetectionBatch(
        batch.images_B3HW[rows], batch.targets[rows], batch.text_embeddings[rows], batch.image_ids[rows]
    )


def small_batch(number, num_images):
    """In double precision, where rounding cannot make a code of the quantizers flip."""
    generator = torch.Generator().manual_seed(number)
    images_B3HW = torch.rand(num_images, 3, 16, 24, generator=generator, dtype=torch.float64)
    targets = []
    for _ in range(num_images):
        corner_M2 = torch.rand(2, 2, generator=generator, dtype=torch.float64) * torch.tensor([14.0, 8.0])
        sides_M2 = 4 + 4 * torch.rand(2, 2, generator=generator, dtype=torch.float64)
        labels_M = torch.randint(5, (2,), generator=generator)
        targets.append(ImageTargets(torch.cat([corner_M2, corner_M2 + sides_M2], dim=1), labels_M))
    texts_BKD = torch.randn(num_images, 5, 6, generator=generator, dtype=torch.float64)
    return DetectionBatch(images_B3HW, tuple(targets), texts_BKD, tuple(range(num_images)))


def small_detector(seed=0):
    torch.manual_seed(seed)
    return ToyDetector()


def parts_of_batches(first, count):
    for number in range(first, first + count):
        batch = small_batch(number, NUM_IMAGES)
        if number % 3 == 0:  # the first image has no object, and one worker then has no positive
            empty = replace(
                batch.targets[0],
                boxes_M4=torch.zeros(0, 4, dtype=torch.float64),
                labels_M=torch.zeros(0, dtype=torch.long),
            )
            batch = replace(batch, targets=(empty, *batch.targets[1:]))
        yield own_part(batch)


def shared_ratio():
    images = (rank() + 1) * NUM_IMAGES // num_ranks() - rank() * NUM_IMAGES // num_ranks()
    return together(NUM_IMAGES / images)


def train_stage(parts, distillation, spec=SPEC):
    """One stage of a small student; history, the digest of the result, and how many numbers were sent."""
    teacher = small_detector(seed=1).eval()
    student = copy.deepcopy(teacher)
    prepare(student, BITS)
    student.double()
    teacher.double()
    whole = small_batch(0, 2)
    calibrate(student, [(whole.images_B3HW, whole.text_embeddings)], parts)
    set_quantized(student, parts)
    train_only(student, parts)
    with shared_ratio():
        result = train(
            DistillationTask(student, teacher, DistillationSpec(**distillation)),
            parts_of_batches,
            spec,
            label="test",
            quantizer_parameters=quantizer_parameters(student),
            on_gradients=lambda: hold_zero_points(student),
        )
    frozen_moved = any(
        not torch.equal(value, teacher.state_dict()[name])
        for name, value in student.state_dict().items()
        if name in teacher.state_dict() and name.split(".")[0] not in parts
    )
    return result.history, {name: value.clone() for name, value in result.tensors.items()}, frozen_moved


def all_stages():
    return {name: train_stage(*stage) for name, stage in STAGES.items()}


@pytest.fixture(scope="module")
def trained():
    """By number of workers: what every worker has of every stage."""
    return {number: on_workers(number, all_stages) for number in (1, 2)}


@pytest.mark.parametrize("stage", STAGES)
def test_two_workers_have_the_losses_of_one_process(trained, stage):
    (one,), (first, second) = trained[1], trained[2]
    assert first[stage][0] == second[stage][0]
    assert len(first[stage][0]) == NUM_STEPS
    for expected, row in zip(one[stage][0], first[stage][0], strict=True):
        assert row == pytest.approx(expected, rel=1e-9, abs=1e-12), expected["step"]


@pytest.mark.parametrize("stage", STAGES)
def test_the_average_is_the_same_on_all_workers_and_frozen_parts_stand_still(trained, stage):
    (_, first, moved), (_, second, _) = (each[stage] for each in trained[2])
    assert not moved
    assert all(torch.equal(first[name], second[name]) for name in first)


def accumulated():
    """Two passes a step, whose batches differ between workers; gradients of one step, by name."""
    spec = SPEC.model_copy(update={"num_steps": 3, "accumulation_steps": 2, "max_gradient_norm": 0.1})
    return train_stage(*STAGES["stage 2"], spec=spec)


def test_passes_are_added_up_before_anything_is_sent_or_clipped():
    (one,), (first, second) = on_workers(1, accumulated), on_workers(2, accumulated)
    assert first[0] == second[0]
    for expected, row in zip(one[0], first[0], strict=True):
        assert row == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert all(torch.allclose(one[1][name], first[1][name], rtol=1e-9, atol=1e-12) for name in one[1])


def live_statistics():
    """A teacher from scratch, whose BatchNorms use the statistics of the batch."""
    spec = SPEC.model_copy(update={"num_steps": 4, "learning_rate": 1e-5, "ema_decay": None})
    with shared_ratio():
        result = train(SupervisedTask(small_detector().double().train()), parts_of_batches, spec, label="test")
    return result.history, {name: value.clone() for name, value in result.tensors.items() if "running" in name}


def test_live_batch_norm_has_the_statistics_of_the_whole_batch():
    (one,), (first, second) = on_workers(1, live_statistics), on_workers(2, live_statistics)
    assert all(torch.equal(first[1][name], second[1][name]) for name in first[1])
    for expected, row in zip(one[0], first[0], strict=True):
        assert row == pytest.approx(expected, rel=1e-9)
    for name, value in one[1].items():
        torch.testing.assert_close(first[1][name], value, rtol=1e-9, atol=1e-12)


def other_live_statistics():
    detector = small_detector().double().train()
    detector.add_module("odd", torch.nn.BatchNorm1d(4).train())
    try:
        train(SupervisedTask(detector), parts_of_batches, SPEC, label="test")
    except ValueError as error:
        return str(error)
    return ""


def test_live_statistics_that_cannot_be_synchronized_are_refused():
    assert all("odd is BatchNorm1d. Freeze it" in text for text in on_workers(2, other_live_statistics))


def broken_on_one():
    class Broken(SupervisedTask):
        calls = 0

        def losses(self, batch):
            self.calls += 1
            losses = super().losses(batch)
            if rank() == 1 and self.calls == 2:
                losses["loss_box"] = losses["loss_box"] * float("nan")
            return losses

    try:
        train(Broken(small_detector().double().eval()), parts_of_batches, SPEC, label="test")
    except NonFiniteLossError as error:
        return str(error)
    return ""


def test_a_loss_that_breaks_on_one_worker_stops_all_of_them_at_the_same_step():
    first, second = on_workers(2, broken_on_one)
    assert first == second
    assert "at step 1 loss_box did not on rank 1 of 2 workers" in first


def broken_data_on_one(folder):
    """By kind of error: what ended this worker, and how many batches it had asked for."""
    return {kind.__name__: ended_by(kind, folder / kind.__name__) for kind in (ValueError, OSError)}


def ended_by(kind, folder):
    def parts(first, count):
        for number, batch in enumerate(parts_of_batches(first, count)):
            seen.append(number)
            if rank() == 1 and number == 2:
                raise kind("image 7 is damaged")
            yield batch

    seen = []
    folder.mkdir(exist_ok=True)
    try:
        with told_fault(folder):
            train(SupervisedTask(small_detector().double().eval()), parts, SPEC, label="test")
    except (OtherWorkerError, kind) as error:
        return type(error).__name__, str(error), len(seen)
    return None


def test_data_that_break_on_one_worker_end_all_of_them_and_the_run_says_on_which(tmp_path):
    first, second = on_workers(2, broken_data_on_one, tmp_path)
    for name in ("ValueError", "OSError"):
        text = f"A step needs all 2 workers; it failed on rank 1: {name}: image 7 is damaged"
        assert first[name] == ("OtherWorkerError", text, 3)
        assert second[name] == (name, "image 7 is damaged", 3)
    with pytest.raises(ValueError, match=r"image 7 is damaged\nThis was on rank 1 of 2 workers\."):
        raise_fault(tmp_path / "ValueError")
    assert not has_fault(tmp_path / "OSError")  # it may be over when the workers are started again


def on_some_workers(folder, spec):
    """A supervised training on as many workers as there are, from what the folder holds; with what it logs."""
    kept = _Kept()
    logging.getLogger("crqat_pipeline.training").addHandler(kept)
    with shared_ratio():
        detector = small_detector().double().eval()
        result = train(SupervisedTask(detector), parts_of_batches, spec, label="test", resume_folder=folder)
    return result.resumed_from_step, len(result.history), kept.said


class _Kept(logging.Handler):
    def __init__(self):
        super().__init__()
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())


def test_another_number_of_workers_goes_on_and_says_that_bits_differ(tmp_path):
    short = SPEC.model_copy(update={"num_steps": 3, "checkpoint_every_steps": 2, "ema_decay": None})
    on_workers(2, on_some_workers, tmp_path, short)
    (resumed, rows, said) = on_workers(1, on_some_workers, tmp_path, short)[0]
    assert (resumed, rows) == (2, 3)
    assert any("is of 2 workers and this training has 1" in line for line in said)
    assert all(answer[0] == 2 for answer in on_workers(2, on_some_workers, tmp_path, short))


def from_first():
    """A student that only the first worker has calibrated."""
    student = small_detector(seed=1).eval()
    prepare(student, BITS)
    student.double()
    if is_first():
        batch = small_batch(0, 2)
        calibrate(student, [(batch.images_B3HW, batch.text_embeddings)], ["backbone", "neck", "head"])
    student.load_state_dict(state_of_first(student.state_dict()))
    set_quantized(student, ["backbone", "neck", "head"])
    batch = small_batch(1, 1)
    with torch.no_grad():
        return float(student(batch.images_B3HW, batch.text_embeddings).class_logits_BNK.sum())


def test_what_the_first_worker_calibrated_reaches_all():
    first, second = on_workers(2, from_first)
    assert math.isfinite(first)
    assert first == second


def test_a_process_outside_of_a_group_is_alone():
    with together():
        assert (num_ranks(), rank()) == (1, 0)
