"""Task-aligned assignment: numbers by hand, and a slow loop that follows the description step by step."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from crqat_pipeline.detectors.common.assigner import AssignerSpec, assign_task_aligned
from crqat_pipeline.detectors.common.boxes import anchor_grid
from crqat_pipeline.detectors.common.targets import flatten_targets
from crqat_pipeline.structures.batch import ImageTargets
from crqat_pipeline.structures.box_overlap import complete_iou


def _assign(logits: Tensor, boxes: Tensor, points: Tensor, targets: list[ImageTargets], spec: AssignerSpec):
    flat = flatten_targets(targets, logits.shape[0], logits.shape[2], like=boxes)
    return assign_task_aligned(logits, boxes, points, flat, spec), flat


def test_scores_by_hand() -> None:
    # one object, 10 x 10; three anchors inside it, one on its border, one outside
    points = torch.tensor([[5.0, 5.0], [2.0, 2.0], [8.0, 8.0], [10.0, 5.0], [15.0, 5.0]])
    whole, half = [0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0]
    boxes = torch.tensor([[whole, half, [20.0, 20.0, 30.0, 30.0], whole, whole]])
    logits = torch.full((1, 5, 2), -20.0)
    logits[0, :, 1] = torch.tensor([0.0, math.log(0.36 / 0.64), 3.0, 3.0, 3.0])  # sigmoid .5, .36, …
    target = ImageTargets(torch.tensor([whole]), torch.tensor([1]))
    found, _ = _assign(logits, boxes, points, [target], AssignerSpec())
    aspect = 4 / math.pi**2 * (math.atan(2) - math.atan(1)) ** 2
    overlap = 0.5 - 2.5**2 / 200 - aspect**2 / (aspect - 0.5 + 1)
    alignments = [0.5**0.5, 0.6 * overlap**6]
    assert found.region_P.tolist() == [0, 1], "centres on the border or outside, and no overlap, are not positive"
    assert found.score_P.tolist() == pytest.approx([1.0, alignments[1] / alignments[0]], rel=1e-4)


def test_only_the_best_candidates_are_kept() -> None:
    points, _ = anchor_grid([(4, 4)], (8,), like=torch.zeros(1))
    boxes = torch.tensor([0.0, 0.0, 32.0, 32.0]).expand(1, 16, 4)
    logits = torch.linspace(-2, 2, 16).reshape(1, 16, 1)
    target = ImageTargets(boxes[0, :1], torch.tensor([0]))
    found, _ = _assign(logits, boxes, points, [target], AssignerSpec(num_candidates=3))
    assert found.region_P.tolist() == [13, 14, 15]
    assert found.score_P[2].item() == pytest.approx(1.0, abs=1e-5)


def test_a_contested_anchor_goes_to_the_largest_overlap() -> None:
    points = torch.tensor([[10.0, 10.0]])
    boxes = torch.tensor([[[0.0, 0.0, 20.0, 20.0]]])
    logits = torch.tensor([[[9.0, -3.0]]])  # the score speaks for prompt 0, the overlap for the second object
    target = ImageTargets(torch.tensor([[0.0, 0.0, 30.0, 30.0], [0.0, 0.0, 20.0, 22.0]]), torch.tensor([0, 1]))
    found, flat = _assign(logits, boxes, points, [target], AssignerSpec())
    assert flat.position_O[found.object_P].tolist() == [1]


def _slow(logits: Tensor, boxes: Tensor, points: Tensor, target: ImageTargets, spec: AssignerSpec) -> dict:
    """region -> (object, score) of one image."""
    num_objects, num_regions = len(target.labels_M), len(points)
    if not num_objects:
        return {}
    overlap = torch.zeros(num_objects, num_regions)
    alignment, claims = torch.zeros_like(overlap), torch.zeros_like(overlap, dtype=torch.bool)
    for g in range(num_objects):
        inside = torch.zeros(num_regions)
        for a in range(num_regions):
            overlap[g, a] = max(complete_iou(boxes[a], target.boxes_M4[g]).item(), 0)
            alignment[g, a] = logits[a, target.labels_M[g]].sigmoid() ** 0.5 * overlap[g, a] ** 6
            (x, y), (x1, y1, x2, y2) = points[a].tolist(), target.boxes_M4[g].tolist()
            inside[a] = min(x - x1, y - y1, x2 - x, y2 - y) > 1e-9
        kept = alignment[g] * inside
        for a in kept.argsort(descending=True)[: spec.num_candidates]:
            claims[g, a] = kept[a] > 0
    result = {}
    owner = torch.where(claims.sum(0) > 1, overlap.argmax(0), claims.long().argmax(0))
    owned = [(a, int(owner[a])) for a in range(num_regions) if claims[:, a].any()]
    for a, g in owned:
        mine = [b for b, h in owned if h == g]
        top = alignment[g, mine].max() + 1e-9
        result[a] = (g, float(alignment[g, a] / top * overlap[g, mine].max()))
    return result


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), counts=st.lists(st.integers(0, 6), min_size=1, max_size=3), k=st.integers(1, 4))
def test_the_vectorized_form_equals_the_loop(seed: int, counts: list[int], k: int) -> None:
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    points, _ = anchor_grid([(6, 5), (3, 3)], (8, 16), like=torch.zeros(1))
    reach = uniform(len(counts), len(points), 4) * 24 + 1
    boxes = torch.cat((points - reach[..., :2], points + reach[..., 2:]), dim=-1)
    logits = 4 * uniform(len(counts), len(points), k) - 2
    targets = []
    for count in counts:
        corner = uniform(count, 2) * 30
        targets.append(
            ImageTargets(
                torch.cat((corner, corner + 4 + 20 * uniform(count, 2)), 1),
                torch.randint(k, (count,), generator=generator),
            )
        )
    spec = AssignerSpec(num_candidates=4)
    found, flat = _assign(logits, boxes, points, targets, spec)
    rows = {
        (int(image), int(region)): (int(flat.position_O[owner]), float(score))
        for image, region, owner, score in zip(
            found.image_P, found.region_P, found.object_P, found.score_P, strict=True
        )
    }
    expected = {
        (image, region): row
        for image, target in enumerate(targets)
        for region, row in _slow(logits[image], boxes[image], points, target, spec).items()
    }
    assert rows.keys() == expected.keys()
    for key, (owner, score) in rows.items():
        assert owner == expected[key][0]
        assert score == pytest.approx(expected[key][1], rel=1e-3, abs=1e-6)


def test_labels_outside_the_prompts_are_refused() -> None:
    target = ImageTargets(torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([7]))
    with pytest.raises(ValueError, match=r"columns of the 5 prompts; got values from 7 to 7"):
        flatten_targets([target], 1, 5, like=torch.zeros(1))
    with pytest.raises(ValueError, match=r"got 1 for 2 images"):
        flatten_targets([target], 2, 5, like=torch.zeros(1))
