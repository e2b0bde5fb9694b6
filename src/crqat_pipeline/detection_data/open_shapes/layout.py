"""The benchmark as an object: annotations at once, pixels on demand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from PIL import Image

from crqat_pipeline.detection_data.open_shapes.annotations import coco_annotations, file_name, lvis_annotations
from crqat_pipeline.detection_data.open_shapes.categories import open_shapes_vocabulary
from crqat_pipeline.detection_data.open_shapes.paint import paint_scene
from crqat_pipeline.detection_data.open_shapes.scene import draw_scene
from crqat_pipeline.detection_data.open_shapes.spec import SPLITS, OpenShapesSpec, Split
from crqat_pipeline.runtime.lookup import look_up
from crqat_pipeline.runtime.seeding import numpy_generator
from crqat_pipeline.structures.vocabulary import Vocabulary

LVIS_SPLITS = ("val", "tune")
RENDERER_VERSION = 2
"""Raise it with every change of layout or paint, so that written images are rendered again."""


def render_file(spec: OpenShapesSpec, split: Split, name: str) -> Image.Image:
    """Pixels of "000012.jpg" of a split: drawn from the spec alone, whatever else is or is not rendered."""
    stem = name.partition(".")[0]
    index = int(stem) if stem.isdecimal() else -1
    if not 0 <= index < spec.num_images(split) or name != file_name(index):
        raise ValueError(
            f"OpenShapes has no image {name!r}; split {split!r} runs from {file_name(0)!r} to "
            f"{file_name(spec.num_images(split) - 1)!r}."
        )
    random = numpy_generator(spec.seed, "open_shapes", split, index, "pixels")
    return paint_scene(draw_scene(spec, split, index), spec.image_size_px, spec.noise_std, random)


@dataclass(frozen=True)
class RenderedSplit:
    """Images that exist once they are written (write_images). names: files of the split's folder."""

    spec: OpenShapesSpec
    split: Split
    names: tuple[str, ...]
    fingerprint: str

    def render(self, name: str) -> Image.Image:
        """Pixels of one image, RGB. Raises ValueError for a name that the split does not have."""
        return render_file(self.spec, self.split, name)


@dataclass(frozen=True)
class OpenShapes:
    """annotations: COCO dictionary by split. annotations_lvis: LVIS-format dictionary of val and tune."""

    spec: OpenShapesSpec
    vocabulary: Vocabulary
    annotations: Mapping[str, dict[str, Any]]
    annotations_lvis: Mapping[str, dict[str, Any]]

    @property
    def fingerprint(self) -> str:
        """Changes when pixels would change: pass it to write_images, which then renders again."""
        not_pixels = {f"num_{split}_images" for split in SPLITS} | {"negatives_per_image"}
        return f"open_shapes v{RENDERER_VERSION} {self.spec.model_dump_json(exclude=not_pixels)}"

    def rendered(self, split: str) -> RenderedSplit:
        """The images of a split, to be written into a folder of their own."""
        names = tuple(image["file_name"] for image in look_up(self.annotations, split, "OpenShapes split")["images"])
        return RenderedSplit(self.spec, cast(Split, split), names, self.fingerprint)


def draw_layout(spec: OpenShapesSpec) -> OpenShapes:
    """Lay all scenes out (a few seconds for the default size); nothing is rendered or written."""
    vocabulary = open_shapes_vocabulary(spec.seed, spec.num_qat_categories)
    annotations: dict[str, dict[str, Any]] = {split: coco_annotations(spec, split, vocabulary) for split in SPLITS}
    federated = {split: lvis_annotations(spec, annotations[split], annotations["train"]) for split in LVIS_SPLITS}
    return OpenShapes(spec, vocabulary, annotations, federated)
