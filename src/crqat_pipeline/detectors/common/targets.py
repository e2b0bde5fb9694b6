"""Objects of a whole batch in flat tensors, so that no step loops over images.

Shape letters: O objects of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from crqat_pipeline.structures.batch import ImageTargets


@dataclass(frozen=True)
class FlatTargets:
    """boxes_O4 pixel xyxy; labels_O prompt columns; image_O and position_O: image, and place within it."""

    boxes_O4: Tensor
    labels_O: Tensor
    image_O: Tensor
    position_O: Tensor


def flatten_targets(targets: Sequence[ImageTargets], num_images: int, num_prompts: int, like: Tensor) -> FlatTargets:
    """All objects, image by image. Raises ValueError when counts or labels do not fit the output.

    `like` gives the device and dtype of the boxes.
    """
    if len(targets) != num_images:
        raise ValueError(
            f"One ImageTargets per image is needed; got {len(targets)} for {num_images} images. "
            "Use empty boxes (0, 4) for an image without objects."
        )
    counts = [int(target.labels_M.shape[0]) for target in targets]
    device = like.device
    boxes_O4 = torch.cat([target.boxes_M4.reshape(-1, 4) for target in targets]).to(device, like.dtype)
    labels_O = torch.cat([target.labels_M for target in targets]).to(device)
    if boxes_O4.shape[0] != labels_O.shape[0]:
        raise ValueError(
            f"Every object needs one box and one label; got {boxes_O4.shape[0]} boxes and "
            f"{labels_O.shape[0]} labels. Check boxes_M4 against labels_M of each image."
        )
    if labels_O.numel() and (int(labels_O.min()) < 0 or int(labels_O.max()) >= num_prompts):
        raise ValueError(
            f"Labels are columns of the {num_prompts} prompts; got values from {int(labels_O.min())} to "
            f"{int(labels_O.max())}. Map category ids to positions in the vocabulary first."
        )
    counts_B = torch.tensor(counts, device=device)
    image_O = torch.repeat_interleave(torch.arange(num_images, device=device), counts_B)
    starts_B = counts_B.cumsum(0) - counts_B
    position_O = torch.arange(labels_O.shape[0], device=device) - starts_B[image_O]
    return FlatTargets(boxes_O4, labels_O.long(), image_O, position_O)
