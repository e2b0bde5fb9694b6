"""Alignment diagnostics: zero for equal outputs, hand-computed distances, heat maps."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from crqat_pipeline.evaluation.alignment import group_alignments, summarize_alignment
from crqat_pipeline.evaluation.correlation import pearson, ranks, spearman
from crqat_pipeline.evaluation.similarity_map import (
    class_similarity,
    pyramid_map,
    similarity_map,
    spread,
)
from crqat_pipeline.structures.output import DetectorOutput, PositiveRegions


def _output(regions_BND: Tensor, texts: Tensor, logits_BNK: Tensor | None = None) -> DetectorOutput:
    b, n, _ = regions_BND.shape
    logits = torch.zeros(b, n, texts.shape[-2]) if logits_BNK is None else logits_BNK
    return DetectorOutput(logits, torch.zeros(b, n, 4), regions_BND, texts)


def _positives(rows: list[tuple[int, int, int]], scores: list[float] | None = None) -> PositiveRegions:
    image, region, prompt = torch.tensor(rows).T
    return PositiveRegions(
        image, region, prompt, torch.zeros(len(rows)).long(), torch.tensor(scores or [1.0] * len(rows))
    )


def test_equal_outputs_are_perfectly_aligned() -> None:
    generator = torch.Generator().manual_seed(0)
    output = _output(torch.randn(2, 7, 5, generator=generator), torch.randn(3, 5, generator=generator))
    positives = _positives([(0, 1, 2), (0, 3, 2), (1, 0, 0), (1, 2, 0), (1, 6, 0), (1, 6, 1)])
    groups = group_alignments(output, output, positives)
    summary = summarize_alignment(groups)
    assert [(one.image, one.prompt, one.num_regions) for one in groups] == [(0, 2, 2), (1, 0, 3), (1, 1, 1)]
    assert (summary.region_text_mae, summary.region_region_mae) == (0.0, 0.0)
    assert summary.region_region_r == pytest.approx(1.0)
    assert math.isnan(summary.distortion_rho)


def test_distances_by_hand() -> None:
    texts = torch.tensor([[2.0, 0.0]])
    teacher = _output(torch.tensor([[[1.0, 0.0], [0.0, 3.0]]]), texts, torch.tensor([[[0.0], [0.0]]]))
    student = _output(torch.tensor([[[0.0, 5.0], [0.0, 1.0]]]), texts, torch.tensor([[[math.log(3)], [0.0]]]))
    summary = summarize_alignment(group_alignments(teacher, student, _positives([(0, 0, 0), (0, 1, 0)])))
    assert summary.region_text_mae == pytest.approx(0.5)  # cosines 1, 0 became 0, 0
    assert summary.region_region_mae == pytest.approx(1.0)  # 0 became 1
    assert summary.embedding_distortion_G == pytest.approx((2 / 3,))
    assert (summary.confidence_teacher, summary.confidence_student) == pytest.approx((0.5, 0.625))
    assert summary.confidence_distortion_G == pytest.approx((0.125,))


def test_texts_per_image_and_the_cap_on_regions() -> None:
    regions = torch.eye(4)[None].repeat(2, 1, 1)
    texts = torch.stack([torch.eye(4)[:2], torch.eye(4)[2:]])
    output = _output(regions, texts)
    positives = _positives([(1, n, 0) for n in range(4)], [0.1, 0.9, 0.2, 0.8])
    (group,) = group_alignments(output, output, positives, max_regions=2)
    assert group.matrix_teacher[0].tolist() == [1.0, 0.0, 0.0]  # regions 1 and 3 against text 2
    (whole,) = group_alignments(output, output, positives)
    assert whole.matrix_teacher[0].tolist() == [1.0, 0.0, 0.0, 1.0, 0.0]


def test_no_positives_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one group"):
        summarize_alignment([])


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=20))
def test_ranks_share_the_mean_of_ties(values: list[int]) -> None:
    expected = [sum(v < x for v in values) + (sum(v == x for v in values) + 1) / 2 for x in values]
    assert ranks(values).tolist() == expected


def test_correlations() -> None:
    assert pearson([1, 2, 3], [2, 4, 6]) == pytest.approx(1.0)
    assert spearman([1, 2, 3, 4], [1, 10, 100, 99]) == pytest.approx(0.8)
    assert math.isnan(pearson([1, 1], [1, 2]))
    with pytest.raises(ValueError, match=r"got shapes \(2,\) and \(3,\)"):
        pearson([1, 2], [1, 2, 3])


def test_a_map_holds_the_mean_of_each_cell() -> None:
    centres = torch.tensor([[1.0, 1.0], [3.0, 3.0], [19.0, 9.0], [99.0, -5.0]])
    values = similarity_map(torch.tensor([1.0, 0.0, 0.7, 0.2]), centres, height_px=10, width_px=20, cell_px=10)
    assert values.tolist() == [[0.5, pytest.approx(0.45)]]
    empty = similarity_map(torch.tensor([1.0]), torch.tensor([[1.0, 1.0]]), 10, 20, 10)
    assert empty.isnan().tolist() == [[False, True]]
    with pytest.raises(ValueError, match="2 centres and 1 similarities"):
        similarity_map(torch.tensor([1.0]), torch.zeros(2, 2), 10, 10)


def test_class_similarity_takes_the_best_prompt() -> None:
    output = _output(torch.tensor([[[3.0, 0.0], [1.0, 1.0]]]), torch.eye(2))
    assert class_similarity(output, 0, [0, 1]).tolist() == pytest.approx([1.0, 0.5**0.5])
    assert class_similarity(output, 0, [1]).tolist() == pytest.approx([0.0, 0.5**0.5])
    with pytest.raises(ValueError, match="at least one prompt"):
        class_similarity(output, 0, [])


def test_a_pyramid_is_the_mean_over_its_levels() -> None:
    fine, coarse = torch.arange(8.0).reshape(2, 4), torch.tensor([[10.0, 20.0]])
    similarity_N = torch.cat([fine.flatten(), coarse.flatten()])
    expected = [[5.0, 5.5, 11.0, 11.5], [7.0, 7.5, 13.0, 13.5]]
    assert pyramid_map(similarity_N, 16, 32, strides=(8, 16)).tolist() == expected
    assert spread(similarity_N, torch.zeros(0, 2), 16, 32, strides=(8, 16)).tolist() == expected


def test_regions_without_a_pyramid_lie_where_they_look() -> None:
    centres = torch.tensor([[4.0, 4.0], [12.0, 4.0]])
    values = spread(torch.tensor([0.25, 0.5]), centres, 8, 24, strides=(8, 16))
    assert values[0, :2].tolist() == [0.25, 0.5]
    assert values.isnan().tolist() == [[False, False, True]]
