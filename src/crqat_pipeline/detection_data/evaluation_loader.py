"""Evaluation batches: letterboxed images, and the way back to original pixels.

Shape letters: B images, 3 RGB, H W pixels, M boxes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.letterbox import Letterbox, letterbox
from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.detection_data.prepared_split import PreparedSplit
from crqat_pipeline.runtime.seeding import torch_generator


@dataclass(frozen=True)
class EvaluationBatch:
    """images_B3HW: float32 RGB in [0, 1]. image_ids and letterboxes: one per image."""

    images_B3HW: Tensor
    image_ids: tuple[int, ...]
    letterboxes: tuple[Letterbox, ...]

    def to(self, device: torch.device | str) -> EvaluationBatch:
        return EvaluationBatch(self.images_B3HW.to(device), self.image_ids, self.letterboxes)

    def to_original(self, index: int, boxes_M4: Tensor) -> Tensor:
        """Boxes xyxy of image `index` of this batch, from input pixels to pixels of its file, clipped to it."""
        return self.letterboxes[index].to_original(boxes_M4)


class _EvaluationBatches(Dataset[EvaluationBatch]):
    def __init__(self, split: PreparedSplit, images: ImageFolder, size_px: int, batch_size: int) -> None:
        self._split, self._images, self._size_px, self._batch_size = split, images, size_px, batch_size

    def __len__(self) -> int:
        return -(-len(self._split.images) // self._batch_size)

    def __getitem__(self, number: int) -> EvaluationBatch:
        if not 0 <= number < len(self):
            raise IndexError(number)
        records = self._split.images[number * self._batch_size : (number + 1) * self._batch_size]
        fitted = [letterbox(self._images.open(record.file_name), self._size_px) for record in records]
        pixels_B3HW = np.stack([np.asarray(image).transpose(2, 0, 1) for image, _ in fitted])
        return EvaluationBatch(
            torch.from_numpy(pixels_B3HW),
            tuple(record.id for record in records),
            tuple(geometry for _, geometry in fitted),
        )


def evaluation_batches(
    split: PreparedSplit,
    images: ImageFolder,
    spec: LoaderSpec,
    image_size_px: int | None = None,
    batch_size: int | None = None,
) -> Iterator[EvaluationBatch]:
    """Every image of the split once, in its order; the last batch may be smaller.

    image_size_px and batch_size default to those of the spec; its augmentation and prompts are not used.
    """
    dataset = _EvaluationBatches(split, images, image_size_px or spec.image_size_px, batch_size or spec.batch_size)
    loader: DataLoader[EvaluationBatch] = DataLoader(
        dataset, batch_size=None, num_workers=spec.num_workers, generator=torch_generator(0, "loader")
    )
    for packed in loader:
        images_B3HW = packed.images_B3HW.float().div_(255)
        yield EvaluationBatch(images_B3HW, packed.image_ids, packed.letterboxes)
