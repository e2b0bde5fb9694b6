"""What a detector returns, and what is left of it after post-processing.

Shape letters: B images, N regions, K prompts, D embedding, P positives of a batch, M detections of one image,
R bins per box side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class DetectorOutput:
    """The raw answer of any detector family.

    class_logits_BNK: score logits. boxes_BN4: pixel xyxy of the input image. region_embeddings_BND: the
    embeddings that the score compares with text; lengths may be missing from the score, nothing else is: a BatchNorm
    between network and comparison has been applied. text_embeddings: (K, D) or (B, K, D), what these are compared
    with: as given, or projected by a family that compares in a space of its own.
    features: named feature maps of backbone and neck, filled on request only. box_bins_BN4R: logits over the distance
    of each side (left, top, right, bottom), of families that predict a distribution. raw_region_embeddings_BND: before
    such a BatchNorm, filled on request with the features.
    family: tensors that only the detector's own loss and assigner read.
    """

    class_logits_BNK: Tensor
    boxes_BN4: Tensor
    region_embeddings_BND: Tensor
    text_embeddings: Tensor
    features: Mapping[str, Tensor] = field(default_factory=dict)
    box_bins_BN4R: Tensor | None = None
    family: Mapping[str, Tensor] = field(default_factory=dict)
    raw_region_embeddings_BND: Tensor | None = None


@dataclass(frozen=True)
class PositiveRegions:
    """Regions assigned to objects, flat over the batch: one row per positive.

    image_P, region_P, prompt_P, object_P: int64 indices (object_P counts within the image);
    score_P: float target score in [0, 1].
    """

    image_P: Tensor
    region_P: Tensor
    prompt_P: Tensor
    object_P: Tensor
    score_P: Tensor


@dataclass(frozen=True)
class Detections:
    """Detections of one image, best first: boxes_M4 pixel xyxy, scores_M in [0, 1], labels_M prompt columns."""

    boxes_M4: Tensor
    scores_M: Tensor
    labels_M: Tensor

    def __len__(self) -> int:
        return int(self.scores_M.shape[0])
