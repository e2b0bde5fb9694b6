"""Nodes of the fetch_data stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crqat_pipeline.catalog_io.given import GIVEN
from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.open_shapes import draw_layout
from crqat_pipeline.detection_data.published import fetch_published, read_file_list
from crqat_pipeline.recipes.data import check_data
from crqat_pipeline.recipes.specs import FetchDataSpec

NUM_OUTPUTS = 7


def make_or_accept(spec: FetchDataSpec) -> tuple[Any, ...]:
    """Images and annotations of train, qat and val, then the LVIS-format annotations of val.

    Given files are fetched first where the environment offers that and nobody named a folder that holds them.
    """
    if spec.published is not None and spec.published.is_fetched:
        fetch_published(read_file_list(spec.published.files), spec.published.folder)
    if spec.open_shapes is None:
        return (GIVEN,) * NUM_OUTPUTS
    layout = draw_layout(spec.open_shapes)
    made: list[Any] = []
    for split in ("train", "qat", "val"):
        made += [layout.rendered(split), layout.annotations[split]]
    return (*made, layout.annotations_lvis["val"])


def check(
    spec: FetchDataSpec,
    train_images: ImageFolder,
    train_annotations: Mapping[str, Any],
    qat_images: ImageFolder,
    qat_annotations: Mapping[str, Any],
    val_images: ImageFolder,
    val_annotations: Mapping[str, Any],
    val_annotations_lvis: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Counts and checksums of data that passed every check."""
    splits = {
        "train": (train_annotations, train_images),
        "qat": (qat_annotations, qat_images),
        "val": (val_annotations, val_images),
    }
    if val_annotations_lvis is not None:
        splits["val_lvis"] = (val_annotations_lvis, val_images)
    return check_data(splits, spec)
