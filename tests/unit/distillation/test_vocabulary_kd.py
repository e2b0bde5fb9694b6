"""Vocabulary distillation: zero for equal outputs, its gradient, hand-computed numbers, and what it leaves out."""

import math
from dataclasses import replace

import pytest
import torch

from crqat_pipeline.distillation.vocabulary_kd import VocabularyKdSpec, vocabulary_kd_losses
from crqat_pipeline.structures.output import DetectorOutput

WEIGHTLESS = VocabularyKdSpec(class_weight=1, box_weight=1, bins_weight=1)


def output(seed: int, shape=(2, 5, 4), bins: int | None = 3) -> DetectorOutput:
    """Random logits, boxes and bins of (B, N, K)."""
    images, regions, prompts = shape
    generator = torch.Generator().manual_seed(seed)
    corners = 20 * torch.rand(images, regions, 2, generator=generator)
    return DetectorOutput(
        class_logits_BNK=torch.randn(images, regions, prompts, generator=generator),
        boxes_BN4=torch.cat([corners, corners + 5 + 20 * torch.rand(images, regions, 2, generator=generator)], dim=-1),
        region_embeddings_BND=torch.zeros(images, regions, 6),
        text_embeddings=torch.zeros(prompts, 6),
        box_bins_BN4R=torch.randn(images, regions, 4, bins, generator=generator) if bins else None,
    )


def one_region(logits, box, bins=None) -> DetectorOutput:
    return DetectorOutput(
        torch.tensor([[logits]]),
        torch.tensor([[box]]),
        torch.zeros(1, 1, 2),
        torch.zeros(len(logits), 2),
        box_bins_BN4R=None if bins is None else torch.tensor([[bins]]),
    )


def logit(score: float) -> float:
    return math.log(score / (1 - score))


def test_equal_outputs_give_zero_and_other_outputs_more():
    same = vocabulary_kd_losses(output(0), output(0), VocabularyKdSpec())
    other = vocabulary_kd_losses(output(0), output(1), VocabularyKdSpec())
    assert set(same) == set(other) == {"kd_class", "kd_box", "kd_bins"}
    for name in same:
        assert same[name].item() == pytest.approx(0, abs=1e-6), name
        assert other[name].item() > 1e-3, name


def test_equal_logits_have_no_gradient():
    student, teacher = output(0), output(0)
    student.class_logits_BNK.requires_grad_()
    vocabulary_kd_losses(student, teacher, VocabularyKdSpec())["kd_class"].backward()
    assert student.class_logits_BNK.grad.abs().max() < 1e-6


def test_the_teacher_gets_no_gradient():
    student, teacher = output(0), output(1)
    for one in (student, teacher):
        for tensor in (one.class_logits_BNK, one.boxes_BN4, one.box_bins_BN4R):
            tensor.requires_grad_()
    sum(vocabulary_kd_losses(student, teacher, VocabularyKdSpec()).values()).backward()
    assert all(t.grad is None for t in (teacher.class_logits_BNK, teacher.boxes_BN4, teacher.box_bins_BN4R))
    assert all(t.grad is not None for t in (student.class_logits_BNK, student.boxes_BN4, student.box_bins_BN4R))


def test_hand_worked_class_loss():
    """One region, two prompts: the teacher says 0.8 and 0.5, the student 0.5 for both; divided by 0.8 + 0.5."""
    box = [0.0, 0.0, 4.0, 4.0]
    student, teacher = one_region([0.0, 0.0], box), one_region([logit(0.8), 0.0], box)
    divergence = 0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)
    losses = vocabulary_kd_losses(student, teacher, WEIGHTLESS)
    assert losses["kd_class"].item() == pytest.approx(divergence / 1.3, abs=1e-6)
    assert losses["kd_box"].item() == pytest.approx(0, abs=1e-6)
    assert "kd_bins" not in losses


def test_hand_worked_box_and_bins_losses():
    """Squares of 4 px, the student's 2 px to the right: IoU 8/24, centres 2 px apart in a hull of 6 by 4 px."""
    teacher = one_region([logit(0.8)], [0.0, 0.0, 4.0, 4.0], [[0.0, 0.0]] * 4)
    student = one_region([logit(0.8)], [2.0, 0.0, 6.0, 4.0], [[math.log(3.0), 0.0]] + [[0.0, 0.0]] * 3)
    losses = vocabulary_kd_losses(student, teacher, WEIGHTLESS)
    # 1 - CIoU = 1 - 1/3 + 2²/(6² + 4²); weight 0.8, sum of scores below 1, so the divisor is 1
    assert losses["kd_box"].item() == pytest.approx(0.8 * (2 / 3 + 4 / 52), abs=1e-5)
    # KL(1/2, 1/2 || 3/4, 1/4) on one side of four
    divergence = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert losses["kd_bins"].item() == pytest.approx(0.8 * divergence / 4, abs=1e-6)


def test_boxes_count_only_where_the_teacher_is_confident():
    teacher = output(1)
    unsure = replace(teacher, class_logits_BNK=torch.full_like(teacher.class_logits_BNK, logit(0.02)))
    losses = vocabulary_kd_losses(output(0), unsure, VocabularyKdSpec(min_score=0.05))
    assert losses["kd_box"].item() == 0.0
    assert losses["kd_bins"].item() == 0.0
    assert losses["kd_class"].item() > 0


def test_weights_multiply_their_terms():
    doubled = VocabularyKdSpec(class_weight=1.0, box_weight=3.75, bins_weight=0.75)
    once, twice = (vocabulary_kd_losses(output(0), output(1), spec) for spec in (VocabularyKdSpec(), doubled))
    assert all(torch.allclose(2 * once[name], twice[name]) for name in once)


def test_families_without_box_distributions_have_no_bins_term():
    assert "kd_bins" not in vocabulary_kd_losses(output(0), output(1, bins=None), VocabularyKdSpec())


def test_regions_whose_score_and_box_disagree_count_more_by_hand():
    """Half of the teacher's score on the teacher's own box: |0.5 - 1| = 0.5, so everything counts 1 + 2 * 0.5 times."""
    box = [0.0, 0.0, 4.0, 4.0]
    student, teacher = one_region([logit(0.4), 0.0], box), one_region([logit(0.8), 0.0], box)
    plain = vocabulary_kd_losses(student, teacher, WEIGHTLESS)["kd_class"]
    spec = WEIGHTLESS.model_copy(update={"disagreement_weight": 2.0})
    assert vocabulary_kd_losses(student, teacher, spec)["kd_class"].item() == pytest.approx(2 * plain.item(), rel=1e-5)


def test_a_box_beside_the_teachers_counts_more_by_hand():
    """The teacher's score on a box that covers a third of both: |1 - 1/3| of weight 3 is 2 more."""
    student = one_region([logit(0.8)], [2.0, 0.0, 6.0, 4.0])
    teacher = one_region([logit(0.8)], [0.0, 0.0, 4.0, 4.0])
    plain = vocabulary_kd_losses(student, teacher, WEIGHTLESS)["kd_box"]
    spec = WEIGHTLESS.model_copy(update={"disagreement_weight": 3.0})
    assert vocabulary_kd_losses(student, teacher, spec)["kd_box"].item() == pytest.approx(3 * plain.item(), rel=1e-4)


def test_equal_outputs_agree():
    spec = VocabularyKdSpec(disagreement_weight=2.0)
    assert all(abs(loss.item()) < 1e-6 for loss in vocabulary_kd_losses(output(0), output(0), spec).values())
