"""The four tests of a distillation task: frozen, in eval, no gradient, zero when equal - and nothing run in vain."""

import pytest
import torch

from crqat_pipeline.distillation.objective import DistillationSpec
from crqat_pipeline.distillation.trkd import TrkdSpec
from crqat_pipeline.training.task import DistillationTask
from tests.support.random_batches import random_batch, small_detector

TERMS = {
    "pkd": DistillationSpec(pkd_weight=6),
    "trkd": DistillationSpec(trkd=TrkdSpec(weight=6)),
}


def make_task(spec, teacher_seed=1):
    return DistillationTask(small_detector(0).eval(), small_detector(teacher_seed).train(), spec)


@pytest.mark.parametrize("term", TERMS)
def test_teacher_is_frozen_stays_in_eval_and_gets_no_gradient(term):
    task = make_task(TERMS[term])
    before = {name: value.clone() for name, value in task.teacher.state_dict().items()}
    task.detector.train()
    sum(task.losses(random_batch(0)).values()).backward()
    assert not any(module.training for module in task.teacher.modules())
    assert all(p.grad is None and not p.requires_grad for p in task.teacher.parameters())
    assert all(torch.equal(value, before[name]) for name, value in task.teacher.state_dict().items())


@pytest.mark.parametrize("term", TERMS)
def test_term_is_zero_when_student_equals_teacher_and_positive_otherwise(term):
    same, other = make_task(TERMS[term], 0), make_task(TERMS[term], 1)
    assert same.losses(random_batch(0))[term].item() == pytest.approx(0, abs=1e-9)
    assert other.losses(random_batch(0))[term].item() > 1e-5


@pytest.mark.parametrize("term", TERMS)
def test_outputs_are_kept_apart(term):
    """The task loss of the student does not depend on the teacher."""
    batch = random_batch(0)
    plain, distilled = make_task(DistillationSpec()).losses(batch), make_task(TERMS[term]).losses(batch)
    assert set(distilled) - set(plain) == {term}
    assert all(torch.equal(plain[name], distilled[name]) for name in plain)


def test_the_teacher_runs_only_what_the_terms_need(monkeypatch):
    batch = random_batch(0)

    def refuse(*args, **kwargs):
        raise AssertionError("this part of the teacher is not needed")

    nothing = make_task(DistillationSpec())
    monkeypatch.setattr(nothing.teacher, "backbone_features", refuse)
    nothing.losses(batch)
    backbone = make_task(TERMS["pkd"])
    monkeypatch.setattr(backbone.teacher.neck, "forward", refuse)
    monkeypatch.setattr(backbone.teacher.head, "forward", refuse)
    backbone.losses(batch)
