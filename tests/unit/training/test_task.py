"""The four tests of a distillation task: frozen, in eval, no gradient, zero when equal - and nothing run in vain."""

from dataclasses import replace

import pytest
import torch

from crqat_pipeline.curriculum.apply import train_only
from crqat_pipeline.distillation.objective import DistillationSpec
from crqat_pipeline.distillation.pkd import PkdSpec
from crqat_pipeline.distillation.qfd import QfdSpec, quantize_feature
from crqat_pipeline.distillation.trkd import TrkdSpec
from crqat_pipeline.distillation.vocabulary_kd import VocabularyKdSpec
from crqat_pipeline.structures.batch import ImageTargets
from crqat_pipeline.training.task import DistillationTask
from tests.support.random_batches import random_batch, small_detector

TERMS = {
    "pkd": DistillationSpec(pkd=PkdSpec(weight=6)),
    "trkd": DistillationSpec(trkd=TrkdSpec(weight=6)),
    "qfd": DistillationSpec(qfd=QfdSpec(weight=5)),
    "vocabulary": DistillationSpec(vocabulary=VocabularyKdSpec(min_score=1e-4)),
}
NAMES = {"vocabulary": {"kd_class", "kd_box", "kd_bins"}}
"""Losses of a term that has several."""


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


@pytest.mark.parametrize("term", ["pkd", "trkd"])
def test_term_is_zero_when_student_equals_teacher_and_positive_otherwise(term):
    same, other = make_task(TERMS[term], 0), make_task(TERMS[term], 1)
    assert same.losses(random_batch(0))[term].item() == pytest.approx(0, abs=1e-9)
    assert other.losses(random_batch(0))[term].item() > 1e-6


@pytest.mark.parametrize("term", TERMS)
def test_a_teacher_in_half_precision_says_nearly_the_same_and_the_student_keeps_its_bits(term):
    """Its maps differ from its own in float32 by less than 1e-4 of PKD (one minus Pearson r)."""
    half = TERMS[term].model_copy(update={"teacher_precision": "bfloat16"})
    whole, halved = (make_task(spec).losses(random_batch(0)) for spec in (TERMS[term], half))
    own = make_task(TERMS[term]).detector.loss_names
    assert all(torch.equal(whole[name], halved[name]) for name in own)
    for name in set(whole) - set(own):
        assert halved[name].dtype == torch.float32
        assert halved[name].item() == pytest.approx(whole[name].item(), rel=0.05, abs=1e-3)
    if term == "pkd":
        scales = len(make_task(half).teacher.backbone_feature_names)
        assert 0 < make_task(half, 0).losses(random_batch(0))["pkd"].item() < 6 * scales * 1e-4


def test_vocabulary_terms_are_zero_when_student_equals_teacher_and_positive_otherwise():
    """Teacher scores are raised, its boxes moved: untrained detectors all score 0.002 and give one box."""
    for seed in (0, 1):
        task = make_task(TERMS["vocabulary"], seed)
        for contrast in (*task.teacher.head.contrasts, *(task.detector.head.contrasts if seed == 0 else ())):
            contrast.bias.data += 5.0
        for branch in task.teacher.head.box_branches if seed == 1 else ():
            branch[-1].bias.data += torch.linspace(-3, 3, len(branch[-1].bias))
        losses = task.losses(random_batch(0))
        for name in NAMES["vocabulary"]:
            if seed == 0:
                assert losses[name].item() == pytest.approx(0, abs=1e-5), name
            else:
                assert losses[name].item() > 1e-4, name


def test_qfd_of_equal_networks_is_the_rounding_of_the_feature_alone():
    batch, task = random_batch(0), make_task(TERMS["qfd"], 0)
    with torch.no_grad():
        features = task.teacher(batch.images_B3HW, batch.text_embeddings, return_features=True).features
    wanted = (features["td_p3"] - quantize_feature(features["td_p3"], 4)).square().mean()
    assert task.losses(batch)["qfd"].item() == pytest.approx(5 * wanted.item(), rel=1e-5)
    fine = DistillationSpec(qfd=QfdSpec(weight=5, bits=8))
    assert make_task(fine, 0).losses(batch)["qfd"].item() < make_task(fine, 1).losses(batch)["qfd"].item()


@pytest.mark.parametrize("term", TERMS)
def test_outputs_are_kept_apart(term):
    """The task loss of the student does not depend on the teacher."""
    batch = random_batch(0)
    plain, distilled = make_task(DistillationSpec()).losses(batch), make_task(TERMS[term]).losses(batch)
    assert set(distilled) - set(plain) == NAMES.get(term, {term})
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


@pytest.mark.parametrize("term", TERMS)
def test_without_a_task_loss_the_labels_do_not_matter(term):
    """task_weight 0: other boxes and labels give the same losses; TRKD alone still reads the teacher's assignment."""
    spec = DistillationSpec.model_validate(TERMS[term].model_dump() | {"task_weight": 0})
    batch = random_batch(0)
    others = tuple(ImageTargets(one.boxes_M4 * 0.5, one.labels_M.flip(0) * 0) for one in batch.targets)
    relabelled = replace(batch, targets=others)
    task = make_task(spec)
    own, other = task.losses(batch), task.losses(relabelled)
    assert set(own) == NAMES.get(term, {term})
    if term == "trkd":
        assert not torch.equal(own["trkd"], other["trkd"])
    else:
        assert all(torch.equal(own[name], other[name]) for name in own)


def test_the_task_weight_multiplies_the_task_losses_and_nothing_else():
    batch = random_batch(0)
    whole = make_task(TERMS["pkd"]).losses(batch)
    half = make_task(TERMS["pkd"].model_copy(update={"task_weight": 0.5})).losses(batch)
    assert torch.equal(whole["pkd"], half["pkd"])
    assert all(torch.equal(0.5 * whole[name], half[name]) for name in whole if name != "pkd")


def test_a_frozen_neck_and_head_cost_no_gradients_of_their_weights():
    """Stage 1: gradients pass through neck and head to the backbone, and only the backbone's are made."""
    task = make_task(TERMS["pkd"])
    train_only(task.detector, ["backbone"])
    sum(task.losses(random_batch(0)).values()).backward()
    with_gradient = {name.split(".")[0] for name, p in task.detector.named_parameters() if p.grad is not None}
    assert with_gradient == {"backbone"}
    assert all(p.grad is not None for p in task.detector.backbone.parameters())
