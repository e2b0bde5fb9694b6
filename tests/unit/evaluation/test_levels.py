"""Shares of target scores by level, and an output cut down to one level."""

import torch

from crqat_pipeline.evaluation.levels import level_masks, regions_of, target_shares, target_sums
from crqat_pipeline.structures.output import DetectorOutput, PositiveRegions

MASKS = {"fine": torch.tensor([True, True, False]), "coarse": torch.tensor([False, False, True])}


def _positives(regions: list[int], scores: list[float]) -> PositiveRegions:
    zeros = torch.zeros(len(regions), dtype=torch.int64)
    return PositiveRegions(zeros, torch.tensor(regions, dtype=torch.int64), zeros, zeros, torch.tensor(scores))


def test_target_scores_are_summed_by_level_and_over_batches() -> None:
    first = target_sums(MASKS, _positives([0, 1, 2], [0.5, 0.25, 0.25]))
    assert first == {"fine": 0.75, "coarse": 0.25}
    assert target_shares([first, target_sums(MASKS, _positives([2], [1.0]))]) == {"fine": 0.375, "coarse": 0.625}


def test_regions_belong_to_levels_one_after_the_other() -> None:
    masks = level_masks((8, 16, 32), 64, 96)
    assert {level: int(mask_N.sum()) for level, mask_N in masks.items()} == {"P3": 96, "P4": 24, "P5": 6}
    assert bool(masks["P3"][:96].all())
    assert bool(masks["P5"][-6:].all())
    assert torch.equal(masks["P4"], ~(masks["P3"] | masks["P5"]))


def test_without_any_target_no_level_has_a_share() -> None:
    assert target_shares([target_sums(MASKS, _positives([], []))]) == {"fine": 0.0, "coarse": 0.0}


def test_the_regions_of_a_level_keep_their_numbers() -> None:
    output = DetectorOutput(torch.rand(2, 3, 5), torch.rand(2, 3, 4), torch.rand(2, 3, 6), torch.rand(5, 6))
    part = regions_of(output, MASKS["coarse"])
    assert torch.equal(part.class_logits_BNK, output.class_logits_BNK[:, 2:])
    assert torch.equal(part.boxes_BN4, output.boxes_BN4[:, 2:])
    assert torch.equal(part.region_embeddings_BND, output.region_embeddings_BND[:, 2:])
