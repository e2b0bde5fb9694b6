"""What a loader yields and what a detector is trained on.

Shape letters: B images, 3 RGB, H W pixels, M objects of one image, K prompts, D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ImageTargets:
    """Ground truth of one image.

    boxes_M4: float32, pixel xyxy in the input image. labels_M: int64, the column of the image's prompts.
    """

    boxes_M4: Tensor
    labels_M: Tensor

    def to(self, device: torch.device | str) -> ImageTargets:
        return ImageTargets(self.boxes_M4.to(device), self.labels_M.to(device))


@dataclass(frozen=True)
class DetectionBatch:
    """Images, their targets and the prompts they are asked about.

    images_B3HW: float32 RGB in [0, 1]. text_embeddings: (K, D) shared by the batch, or (B, K, D) per image,
    not necessarily of unit length. image_ids: ids of the annotation file, one per image.
    """

    images_B3HW: Tensor
    targets: tuple[ImageTargets, ...]
    text_embeddings: Tensor
    image_ids: tuple[int, ...]

    def to(self, device: torch.device | str) -> DetectionBatch:
        return DetectionBatch(
            self.images_B3HW.to(device),
            tuple(target.to(device) for target in self.targets),
            self.text_embeddings.to(device),
            self.image_ids,
        )
