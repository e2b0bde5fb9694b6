"""Post-processing: many labels, exact class-wise NMS with 1203 prompts, ties and empty results."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import nms

from crqat_pipeline.detectors.common.selection import SelectionSpec, select_detections, suppress_per_label


def _logit(*scores: float) -> torch.Tensor:
    return torch.tensor(scores, dtype=torch.float64).logit().float()


def test_every_pair_above_the_threshold_is_a_candidate_and_labels_do_not_suppress_each_other() -> None:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 9.0], [50.0, 0.0, 60.0, 10.0]])
    logits = torch.stack((_logit(0.9, 0.8, 0.1), _logit(0.3, 0.6, 0.0005)), dim=1)
    found = select_detections(logits, boxes, 0.001, 300, SelectionSpec())
    assert found.labels_M.tolist() == [0, 1, 0]
    assert found.scores_M.tolist() == pytest.approx([0.9, 0.6, 0.1], rel=1e-5)
    assert torch.equal(found.boxes_M4, boxes[[0, 1, 2]])


def test_overlap_at_the_threshold_is_kept() -> None:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0]])
    logits = _logit(0.9, 0.8).unsqueeze(1)
    assert len(select_detections(logits, boxes, 0.1, 9, SelectionSpec(nms_iou=0.5))) == 2
    assert len(select_detections(logits, boxes, 0.1, 9, SelectionSpec(nms_iou=0.49))) == 1


def test_class_wise_nms_is_exact_with_1203_prompts() -> None:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(1500, 2, generator=generator) * 40
    boxes = torch.cat((corner, corner + 8 + 8 * torch.rand(1500, 2, generator=generator)), dim=1)
    labels = torch.where(torch.rand(1500, generator=generator) < 0.5, 1202, 7)
    scores = torch.rand(1500, generator=generator).sort(descending=True).values
    kept = suppress_per_label(boxes, scores, labels, 0.7)
    expected = [torch.nonzero(labels == k).flatten() for k in (7, 1202)]
    expected = torch.cat([group[nms(boxes[group], scores[group], 0.7)] for group in expected]).sort().values
    assert torch.equal(kept, expected)


def test_candidates_and_detections_are_limited_to_the_best() -> None:
    boxes = torch.arange(40.0).reshape(10, 4).cumsum(1) * 50
    logits = torch.linspace(-3, 3, 30).reshape(10, 3)
    found = select_detections(logits, boxes, 0.0, 4, SelectionSpec(max_candidates=5))
    assert found.scores_M.tolist() == torch.linspace(-3, 3, 30).flip(0)[:4].sigmoid().tolist()
    assert len(select_detections(logits, boxes, 0.0, 300, SelectionSpec(max_candidates=5))) == 5
    assert len(select_detections(logits, boxes, 0.0, 0, SelectionSpec())) == 0


@pytest.mark.parametrize(("threshold", "count", "words"), [(1.5, 9, "got 1.5"), (0.1, -1, "got -1")])
def test_impossible_settings_are_refused(threshold: float, count: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        select_detections(torch.zeros(1, 1), torch.zeros(1, 4), threshold, count, SelectionSpec())
