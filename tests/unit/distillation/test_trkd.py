"""TRKD against the plain loop of the paper's equation, and its identities."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from crqat_pipeline.distillation.relations import SMALLEST_NORM, group_by_query, relation_matrices
from crqat_pipeline.distillation.trkd import TrkdSpec, trkd_loss
from crqat_pipeline.structures.output import PositiveRegions


def random_case(seed: int, num_positives: int, images: int = 3, regions: int = 20, prompts: int = 5, dim: int = 8):
    generator = torch.Generator().manual_seed(seed)
    student = torch.randn(images, regions, dim, generator=generator)
    teacher = torch.randn(images, regions, dim, generator=generator)
    texts = torch.randn(prompts, dim, generator=generator)
    where = torch.randperm(images * regions, generator=generator)[:num_positives]
    positives = PositiveRegions(
        image_P=where // regions,
        region_P=where % regions,
        prompt_P=torch.randint(prompts, (num_positives,), generator=generator),
        object_P=torch.zeros(num_positives, dtype=torch.int64),
        score_P=torch.ones(num_positives),
    )
    return student, teacher, texts, positives


def plain_loop(student, teacher, texts, positives, delta=1.0, keep=None):
    """The equation, one query at a time. keep(i, j): whether an entry counts (0 is the text)."""
    queries = sorted(set(zip(positives.image_P.tolist(), positives.prompt_P.tolist(), strict=True)))
    losses = []
    for image, prompt in queries:
        rows = (positives.image_P == image) & (positives.prompt_P == prompt)
        regions = positives.region_P[rows]
        text = texts[prompt] if texts.ndim == 2 else texts[image, prompt]
        matrices = []
        for embeddings in (student, teacher):
            tokens = F.normalize(torch.cat([text[None], embeddings[image, regions]]), dim=-1)
            matrices.append(tokens @ tokens.T)
        entries = F.smooth_l1_loss(*matrices, beta=delta, reduction="none")
        size = len(regions) + 1
        if keep is not None:
            entries = entries * torch.tensor([[float(keep(i, j)) for j in range(size)] for i in range(size)])
        losses.append(entries.sum() / size**2)
    return torch.stack(losses).mean()


@given(seed=st.integers(0, 10_000), num_positives=st.integers(1, 40), delta=st.sampled_from([1.0, 0.05]))
@settings(max_examples=40, deadline=None)
def test_equals_the_plain_loop(seed, num_positives, delta):
    case = random_case(seed, num_positives)
    got = trkd_loss(*case, TrkdSpec(weight=1, delta=delta))
    assert torch.allclose(got, plain_loop(*case, delta=delta), atol=1e-6)


@pytest.mark.parametrize(
    ("relations", "keep"),
    [("region_text", lambda i, j: (i == 0) != (j == 0)), ("region_region", lambda i, j: i > 0 and j > 0)],
)
def test_components_equal_the_plain_loop_and_sum_to_the_whole(relations, keep):
    case = random_case(3, 25)
    part = trkd_loss(*case, TrkdSpec(weight=1, relations=relations))
    assert torch.allclose(part, plain_loop(*case, keep=keep), atol=1e-6)
    parts = [trkd_loss(*case, TrkdSpec(weight=1, relations=name)) for name in ("region_text", "region_region")]
    assert torch.allclose(sum(parts), trkd_loss(*case, TrkdSpec(weight=1)), atol=1e-6)


def test_per_image_vocabularies_are_read_per_image():
    student, teacher, texts, positives = random_case(5, 12)
    per_image = torch.stack([texts, texts.flip(0), texts * 2])
    got = trkd_loss(student, teacher, per_image, positives, TrkdSpec(weight=1))
    assert torch.allclose(got, plain_loop(student, teacher, per_image, positives), atol=1e-6)


def test_is_zero_for_equal_embeddings_at_any_length():
    student, _, texts, positives = random_case(0, 15)
    assert trkd_loss(student, student * 3, texts, positives, TrkdSpec(weight=1)).item() == pytest.approx(0, abs=1e-12)


def test_permuting_regions_in_both_changes_nothing():
    student, teacher, texts, positives = random_case(1, 30)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    shuffled = PositiveRegions(*(getattr(positives, name)[order] for name in positives.__dataclass_fields__))
    spec = TrkdSpec(weight=1)
    got, expected = (trkd_loss(student, teacher, texts, rows, spec) for rows in (shuffled, positives))
    assert torch.allclose(got, expected, atol=1e-7)


def test_no_positives_give_zero_with_a_gradient():
    student, teacher, texts, _ = random_case(0, 1)
    none = torch.zeros(0, dtype=torch.int64)
    student.requires_grad_()
    loss = trkd_loss(student, teacher, texts, PositiveRegions(none, none, none, none, none.float()), TrkdSpec(weight=1))
    loss.backward()
    assert loss.item() == 0.0
    assert student.grad is not None


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_without_positives_embeddings_that_are_not_finite_change_nothing(value):
    student, teacher, texts, _ = random_case(0, 1)
    none = torch.zeros(0, dtype=torch.int64)
    student = student.fill_(value).requires_grad_()
    loss = trkd_loss(student, teacher, texts, PositiveRegions(none, none, none, none, none.float()), TrkdSpec(weight=1))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(student.grad, torch.zeros_like(student))


@pytest.mark.parametrize("length", [0.0, 1e-30, 1e-12, 1e-6, 0.9e-3])
def test_a_region_without_length_gets_a_bounded_gradient(length):
    student, teacher, texts, positives = random_case(2, 20)
    row = (positives.image_P[0], positives.region_P[0])
    student[row] = length * F.normalize(student[row], dim=-1)
    student.requires_grad_()
    loss = trkd_loss(student, teacher, texts, positives, TrkdSpec(weight=1))
    loss.backward()
    assert torch.isfinite(loss)
    assert student.grad.abs().max() <= 2 / SMALLEST_NORM


@pytest.mark.parametrize("factor", [0.1, 1.0, 100.0])
def test_the_floor_of_lengths_leaves_ordinary_embeddings_as_they_were(factor):
    student, _, texts, positives = random_case(4, 20)
    groups = group_by_query(positives)
    regions = factor * student[positives.image_P, positives.region_P]
    got = relation_matrices(groups, regions, texts)
    unit = relation_matrices(groups, F.normalize(regions, dim=-1), F.normalize(texts, dim=-1))
    assert torch.allclose(got, unit, atol=1e-6)
    first = F.normalize(regions[:1], dim=-1) @ F.normalize(texts[positives.prompt_P[:1]], dim=-1).T
    assert got[groups.group_P[0], groups.slot_P[0], 0].item() == pytest.approx(first.item(), abs=1e-7)


def test_hand_worked_number():
    """One query, one region: the student at 90° to the text, the teacher on it; S differs by 1 at two of 4 entries."""
    texts = torch.tensor([[1.0, 0.0]])
    student, teacher = torch.tensor([[[0.0, 2.0]]]), torch.tensor([[[5.0, 0.0]]])
    zero = torch.zeros(1, dtype=torch.int64)
    positives = PositiveRegions(zero, zero, zero, zero, torch.ones(1))
    assert trkd_loss(student, teacher, texts, positives, TrkdSpec(weight=1)).item() == pytest.approx(2 * 0.5 / 4)


def test_across_queries_compares_regions_of_different_prompts():
    """Two regions, two prompts: within queries the pair is never compared, across them it is."""
    texts = torch.eye(3)[:2]
    student = torch.tensor([[[0.0, 0, 1], [0, 0, 1]]])
    teacher = torch.tensor([[[0.0, 0, 1], [0, 0, -1]]])
    positives = PositiveRegions(
        torch.tensor([0, 0]), torch.tensor([0, 1]), torch.tensor([0, 1]), torch.tensor([0, 1]), torch.ones(2)
    )
    within = trkd_loss(student, teacher, texts, positives, TrkdSpec(weight=1))
    across = trkd_loss(student, teacher, texts, positives, TrkdSpec(weight=1, across_queries=True))
    assert within.item() == pytest.approx(0, abs=1e-7)
    assert across.item() == pytest.approx(2 * 1.5 / 16)
