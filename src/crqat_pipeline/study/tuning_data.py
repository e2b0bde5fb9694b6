"""The images that choose learning rates: a split of the embedded benchmark that no other stage reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crqat_pipeline.detection_data.open_shapes import RenderedSplit, draw_layout
from crqat_pipeline.detection_data.prepared_split import PreparedSplit, prepare_split
from crqat_pipeline.recipes.specs import FetchDataSpec


def tuning_layout(spec: FetchDataSpec, num_images: int) -> tuple[RenderedSplit, dict[str, Any]]:
    """Images and COCO annotations. Raises ValueError for data that is not rendered."""
    if spec.open_shapes is None:
        raise ValueError(
            "The study renders its tuning images and needs the embedded benchmark; fetch_data.source is "
            f"{spec.source!r}. Run it with --env=base."
        )
    layout = draw_layout(spec.open_shapes.model_copy(update={"num_tune_images": num_images}))
    return layout.rendered("tune"), layout.annotations["tune"]


def prepare_tuning(annotations: Mapping[str, Any]) -> PreparedSplit:
    """The tuning images with all their boxes."""
    return prepare_split(annotations, keep_images_without_boxes=True)
