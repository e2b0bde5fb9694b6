"""Which anchors are whose, by detectron2's matcher, and the losses of RetinaNet.

Shape letters: B images, N regions, K prompts, M objects of one image, P positives.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from detectron2.modeling.matcher import Matcher
from detectron2.structures import Boxes, pairwise_iou
from fvcore.nn import sigmoid_focal_loss, smooth_l1_loss
from torch import Tensor

from crqat_pipeline.detectors.detectron2_retinanet.anchors import encode
from crqat_pipeline.detectors.detectron2_retinanet.spec import RetinaNetSpec
from crqat_pipeline.runtime.ranks import count_over_ranks
from crqat_pipeline.structures.batch import ImageTargets
from crqat_pipeline.structures.output import DetectorOutput, PositiveRegions

IGNORED, BACKGROUND, OBJECT = -1, 0, 1


@torch.no_grad()
def match(anchors_N4: Tensor, targets: Sequence[ImageTargets], spec: RetinaNetSpec) -> tuple[PositiveRegions, Tensor]:
    """Positives, and (B, N) whether a region counts in the class loss: those between both overlaps do not.

    Every object has its best anchors, however small their overlap. Target scores are 1.
    """
    matcher = Matcher(list(spec.match_iou), [BACKGROUND, IGNORED, OBJECT], allow_low_quality_matches=True)
    rows, counted = [], []
    for image, target in enumerate(targets):
        boxes_M4 = target.boxes_M4.to(anchors_N4)
        object_N, kind_N = matcher(pairwise_iou(Boxes(boxes_M4), Boxes(anchors_N4)))
        (region_P,) = (kind_N == OBJECT).nonzero(as_tuple=True)
        object_P = object_N[region_P]
        prompt_P = target.labels_M.to(object_P.device)[object_P]
        rows.append(torch.stack((torch.full_like(region_P, image), region_P, prompt_P, object_P)))
        counted.append(kind_N != IGNORED)
    indices = torch.cat(rows, dim=1)
    image_P, region_P, prompt_P, object_P = indices.unbind()
    score_P = anchors_N4.new_ones(indices.shape[1])
    return PositiveRegions(image_P, region_P, prompt_P, object_P, score_P), torch.stack(counted)


def losses(output: DetectorOutput, targets: Sequence[ImageTargets], spec: RetinaNetSpec) -> dict[str, Tensor]:
    """loss_class (focal) and loss_box (smooth L1 of the deltas), both by the number of positives of the batch.

    detectron2 divides by a running mean of that number, which would make a loss depend on the batches before it.
    """
    anchors_N4, deltas_BN4 = output.family["anchors_N4"], output.family["deltas_BN4"]
    positives, is_counted_BN = match(anchors_N4, targets, spec)
    image_P, region_P = positives.image_P, positives.region_P
    number = max(count_over_ranks(len(image_P), like=deltas_BN4), 1)
    wanted_BNK = torch.zeros_like(output.class_logits_BNK)
    wanted_BNK[image_P, region_P, positives.prompt_P] = 1.0
    class_sum = sigmoid_focal_loss(
        output.class_logits_BNK[is_counted_BN],
        wanted_BNK[is_counted_BN],
        alpha=spec.focal_alpha,
        gamma=spec.focal_gamma,
        reduction="sum",
    )
    boxes = [target.boxes_M4.to(anchors_N4) for target in targets]
    starts_B = torch.tensor([0, *(len(one) for one in boxes)], device=image_P.device).cumsum(0)
    boxes_P4 = torch.cat(boxes)[starts_B[image_P] + positives.object_P]
    wanted_P4 = encode(boxes_P4, anchors_N4[region_P])
    box_sum = smooth_l1_loss(deltas_BN4[image_P, region_P], wanted_P4, beta=spec.smooth_l1_beta, reduction="sum")
    return {
        "loss_class": spec.class_weight * class_sum / number,
        "loss_box": spec.box_weight * box_sum / number,
    }
