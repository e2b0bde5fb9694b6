"""From scored regions to detections: many labels per region, exact class-wise NMS or none (query-based families).

Shape letters: N regions, K prompts, Q candidates, M detections.
"""

from __future__ import annotations

import math

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torchvision.ops import nms

from crqat_pipeline.structures.output import Detections


class SelectionSpec(BaseModel):
    """Post-processing of the published numbers; threshold and count per image are arguments of `detect`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_candidates: int = Field(30_000, ge=1, description="Best (anchor, prompt) pairs per image before NMS")
    nms_iou: float | None = Field(
        0.7, gt=0, le=1, description="Overlap above which the lower score is dropped; none: nothing is suppressed"
    )


@torch.no_grad()
def select_detections(
    class_logits_NK: Tensor,
    boxes_N4: Tensor,
    score_threshold: float,
    max_detections: int,
    spec: SelectionSpec,
) -> Detections:
    """Every (region, prompt) pair above the threshold is a candidate; the best of them go through NMS per prompt.

    Raises ValueError for a threshold outside [0, 1) or a negative number of detections.
    """
    if not 0 <= score_threshold < 1:
        raise ValueError(f"score_threshold is a probability in [0, 1); got {score_threshold}. Use e.g. 0.001.")
    if max_detections < 0:
        raise ValueError(f"max_detections must not be negative; got {max_detections}. Use e.g. 300.")
    least_logit = math.log(score_threshold / (1 - score_threshold)) if score_threshold > 0 else -math.inf
    region_Q, label_Q = (class_logits_NK > least_logit).nonzero(as_tuple=True)
    logit_Q = class_logits_NK[region_Q, label_Q].to(boxes_N4.dtype)
    if logit_Q.numel() > spec.max_candidates:
        best_Q = logit_Q.topk(spec.max_candidates).indices.sort().values
        region_Q, label_Q, logit_Q = region_Q[best_Q], label_Q[best_Q], logit_Q[best_Q]
    logit_Q, order_Q = logit_Q.sort(descending=True, stable=True)
    label_Q, boxes_Q4 = label_Q[order_Q], boxes_N4[region_Q[order_Q]]
    if spec.nms_iou is None:
        kept = torch.arange(min(max_detections, len(logit_Q)), device=logit_Q.device)
    else:
        kept = suppress_per_label(boxes_Q4, logit_Q, label_Q, spec.nms_iou)[:max_detections]
    return Detections(boxes_Q4[kept], logit_Q[kept].sigmoid(), label_Q[kept])


def suppress_per_label(boxes_Q4: Tensor, score_Q: Tensor, label_Q: Tensor, iou_threshold: float) -> Tensor:
    """Indices that survive hard NMS inside each label, ascending; the input must be sorted, best first.

    Each label runs on its own, so coordinates keep full precision: shifting classes apart by an offset rounds
    boxes to about a pixel in float32 when there are 1203 of them.
    """
    by_label = label_Q.argsort(stable=True)
    counts = torch.bincount(label_Q).tolist() if label_Q.numel() else []
    survivors = [
        group[nms(boxes_Q4[group], score_Q[group], iou_threshold)] if group.numel() > 1 else group
        for group in torch.split(by_label, counts)
    ]
    return torch.cat(survivors).sort().values if survivors else by_label
