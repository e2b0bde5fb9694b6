"""One image on its way into a batch.

Shape letters: M boxes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.image_table import PreparedImage
from crqat_pipeline.detection_data.letterbox import Letterbox, letterbox
from crqat_pipeline.detection_data.outline import Outline, Picture


@dataclass(frozen=True)
class Sample:
    """image: RGB, or its sides alone. boxes_M4: float32 pixel xyxy in it. category_ids_M: int64."""

    image: Picture
    boxes_M4: NDArray[np.float32]
    category_ids_M: NDArray[np.int64]


def load_sample(images: ImageFolder, record: PreparedImage) -> Sample:
    """Decode an image of a split. Raises ImageFileError if its file is missing or damaged."""
    return Sample(
        images.open(record.file_name),
        np.array(record.boxes_xyxy, dtype=np.float32).reshape(-1, 4),
        np.array(record.category_ids, dtype=np.int64),
    )


def outline_sample(record: PreparedImage) -> Sample:
    """An image of a split without its pixels: nothing is read."""
    return Sample(
        Outline(record.width, record.height),
        np.array(record.boxes_xyxy, dtype=np.float32).reshape(-1, 4),
        np.array(record.category_ids, dtype=np.int64),
    )


def fit_sample(sample: Sample, size_px: int) -> tuple[Sample, Letterbox]:
    """Letterbox a sample into a square."""
    image, geometry = letterbox(sample.image, size_px)
    return Sample(image, geometry.to_input(sample.boxes_M4), sample.category_ids_M), geometry
