"""Every row of LOSSES keeps what it declares, and a row of one's own trains: docs/how_to/add_a_loss.md, done."""

from __future__ import annotations

import pytest
import torch
from pydantic import Field

from crqat_pipeline.distillation.loss import Loss, LossSpec, TeacherView
from crqat_pipeline.distillation.objective import DistillationSpec, objective_over
from crqat_pipeline.distillation.table import LOSSES
from crqat_pipeline.structures.output import DetectorOutput
from crqat_pipeline.training.loop import train
from crqat_pipeline.training.spec import OptimizationSpec
from crqat_pipeline.training.task import DistillationTask
from tests.support.random_batches import random_batch, random_batches, small_detector


class ScoreSpec(LossSpec):
    """Mean square of the class scores."""

    temperature: float = Field(default=1.0, gt=0, description="Divides both logits")


def score(student: DetectorOutput, teacher: TeacherView, spec: ScoreSpec) -> dict[str, torch.Tensor]:
    own_BNK, wanted_BNK = student.class_logits_BNK, teacher.output.class_logits_BNK.detach()
    difference_BNK = (own_BNK.sigmoid() - wanted_BNK.sigmoid()) / spec.temperature
    return {"score": difference_BNK.square().mean()}


WITH_SCORE = {**LOSSES, "score": Loss(ScoreSpec, score, teacher_output=True)}


@pytest.mark.parametrize("name", LOSSES)
def test_a_row_has_a_described_section_and_gives_finite_weighted_scalars(name):
    spec = DistillationSpec.model_validate({name: {"weight": 1.0}})
    double = DistillationSpec.model_validate({name: {"weight": 2.0}})
    assert DistillationSpec.model_fields[name].description
    assert all(field.description for field in LOSSES[name].spec.model_fields.values())
    task = DistillationTask(small_detector(0).eval(), small_detector(1), spec)
    losses = task.losses(random_batch(0))
    own = {key: value for key, value in losses.items() if not key.startswith("loss")}
    assert own
    assert all(value.ndim == 0 and value.isfinite() for value in own.values())
    assert any(value.requires_grad for value in own.values())
    task.spec = double
    twice = task.losses(random_batch(0))
    assert all(torch.equal(twice[key], 2 * value) for key, value in own.items())


def test_a_row_of_ones_own_is_a_section_and_trains():
    spec = objective_over(WITH_SCORE).model_validate({"score": {"weight": 3.0}, "pkd": {"weight": 1.0}})
    task = DistillationTask(small_detector(0), small_detector(1), spec)
    result = train(
        task, random_batches, OptimizationSpec(num_steps=2, learning_rate=1e-4, log_every_steps=1), label="score"
    )
    assert {"loss", "pkd", "score"} <= set(result.history[0])
    assert result.history[0]["score"] > 0
    assert spec.only(["score"]).pkd is None
    assert (spec.needs_teacher_head, spec.needs_positives) == (True, False)


def test_two_losses_of_one_name_are_refused():
    table = {"one": Loss(ScoreSpec, score, teacher_output=True), "two": Loss(ScoreSpec, score, teacher_output=True)}
    spec = objective_over(table).model_validate({"one": {"weight": 1.0}, "two": {"weight": 1.0}})
    task = DistillationTask(small_detector(0), small_detector(1), spec)
    with pytest.raises(ValueError, match="two of one, two give 'score'"):
        task.losses(random_batch(0))
