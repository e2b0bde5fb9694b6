"""The images that choose learning rates: rendered ones that no other stage reads, or some of the QAT images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crqat_pipeline.detection_data.annotation_agreement import records_of
from crqat_pipeline.detection_data.open_shapes import RenderedSplit, draw_layout
from crqat_pipeline.detection_data.prepared_split import PreparedSplit, prepare_split
from crqat_pipeline.detection_data.stratified_split import stratified_split
from crqat_pipeline.recipes.specs import FetchDataSpec

_SPLIT_SEED = 0


def tuning_layout(spec: FetchDataSpec, num_images: int) -> tuple[RenderedSplit, dict[str, Any]]:
    """Images and COCO annotations. Raises ValueError for data that is not rendered."""
    if spec.open_shapes is None:
        raise ValueError(
            "The study renders its tuning images and needs the embedded benchmark; fetch_data.source is "
            f"{spec.source!r}. Run it with --env=base, or hold some of your own images out: "
            "study.tuning_source=held_out."
        )
    layout = draw_layout(spec.open_shapes.model_copy(update={"num_tune_images": num_images}))
    return layout.rendered("tune"), layout.annotations["tune"]


def held_out_annotations(annotations: Mapping[str, Any], num_images: int) -> dict[str, Any]:
    """So many images with their boxes, every class in about the share that it has in the whole; always the same.

    Raises ValueError for as many images as there are, or more.
    """
    records = records_of(annotations)
    if num_images >= len(records["images"]):
        raise ValueError(
            f"Held-out images leave some to train on; study.tuning_images is {num_images} of {len(records['images'])}. "
            "Lower it."
        )
    return stratified_split(records, num_images / len(records["images"]), _SPLIT_SEED)[1]


def prepare_tuning(annotations: Mapping[str, Any]) -> PreparedSplit:
    """The tuning images with all their boxes."""
    return prepare_split(annotations, keep_images_without_boxes=True)
