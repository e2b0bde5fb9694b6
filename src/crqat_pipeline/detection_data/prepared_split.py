"""What the loader needs of an annotation file: images, their boxes by category id, and the categories.

Shape letters: I images, M boxes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FieldSerializationInfo,
    SerializerFunctionWrapHandler,
    field_serializer,
    field_validator,
    model_serializer,
)

from crqat_pipeline.detection_data.annotated_vocabulary import vocabulary_from_categories
from crqat_pipeline.detection_data.annotation_file import image_file_name
from crqat_pipeline.detection_data.box_columns import integers, sides
from crqat_pipeline.detection_data.image_table import SCHEMA, ImageTable
from crqat_pipeline.runtime.seeding import numpy_generator
from crqat_pipeline.structures.vocabulary import Vocabulary


class PreparedCategory(BaseModel):
    """synonyms: all names, first name (the prompt) first. splits: the vocabulary splits it is in.

    scope: the source it belongs to, within which other prompts are negatives; "" where there is one source only.
    is_phrase: a phrase of captions, verified for the images of those captions alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: int
    synonyms: tuple[str, ...]
    splits: tuple[str, ...] = ()
    scope: str = Field(default="", repr=False)
    is_phrase: bool = Field(default=False, repr=False)

    @model_serializer(mode="wrap")
    def _without_unused(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        record: dict[str, Any] = handler(self)
        unused = [name for name in ("scope", "is_phrase") if not getattr(self, name)]
        return {name: value for name, value in record.items() if name not in unused}


class PreparedSplit(BaseModel):
    """Images in file order (or the drawn order of a subset) and the categories that their boxes may have.

    JSON: `model_dump(mode="json")` and `model_validate`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    images: ImageTable
    categories: tuple[PreparedCategory, ...]

    @field_validator("images", mode="before")
    @classmethod
    def _as_table(cls, images: Any) -> ImageTable:
        return images if isinstance(images, ImageTable) else ImageTable.of(images)

    @field_serializer("images")
    def _as_records(self, images: ImageTable, info: FieldSerializationInfo) -> list[dict[str, Any]]:
        mode, short = info.mode, info.exclude_defaults
        return [image.model_dump(mode=mode, exclude_defaults=short) for image in images]

    @property
    def vocabulary(self) -> Vocabulary:
        """The categories as a vocabulary, in category-id order."""
        return vocabulary_from_categories(category.model_dump() for category in self.categories)

    def with_images(self, images: ImageTable) -> PreparedSplit:
        """The same categories, other images."""
        return self.model_copy(update={"images": images})

    def part(self, start: float, stop: float) -> PreparedSplit:
        """Images from share `start` to share `stop` of the order; consecutive parts are disjoint."""
        if not 0 <= start < stop <= 1:
            raise ValueError(f"A part of a split needs 0 <= start < stop <= 1; got {start} and {stop}.")
        first, last = round(start * len(self.images)), round(stop * len(self.images))
        return self.with_images(self.images[first:last])


def prepare_split(
    annotations: Mapping[str, Any],
    category_ids: Collection[int] | None = None,
    max_images: int | None = None,
    seed: int = 0,
    *,
    keep_images_without_boxes: bool | None = None,
) -> PreparedSplit:
    """Records for training or evaluation from a checked COCO or LVIS dictionary.

    category_ids: keep only boxes of these categories. Crowd boxes are left out, boxes are clipped to the image.
    keep_images_without_boxes: by default images without boxes stay, unless category_ids is given.
    max_images: draw so many images at random by seed, in drawn order; a smaller draw is the beginning of a larger.
    Raises ValueError for unknown categories or if no image is left.
    """
    known = {category["id"]: category for category in annotations["categories"]}
    wanted = set(known) if category_ids is None else set(category_ids)
    if not wanted or not wanted <= known.keys():
        raise ValueError(
            f"category_ids must name at least one category of the annotations and no other; got "
            f"{sorted(wanted - known.keys())[:10] or 'an empty collection'}."
        )
    table = _image_table(annotations, wanted)
    keep_empty = category_ids is None if keep_images_without_boxes is None else keep_images_without_boxes
    rows = np.arange(len(table)) if keep_empty else np.flatnonzero(table.first_category_ids >= 0)
    if max_images is not None:
        rows = rows[numpy_generator(seed, "prepare_split").permutation(len(rows))[:max_images]]
    if not len(rows):
        raise ValueError(
            f"No image is left: {len(annotations['images'])} images, none with a box of the "
            f"{len(wanted)} categories asked for (max_images={max_images})."
        )
    vocabulary = vocabulary_from_categories(known[number] for number in wanted)
    return PreparedSplit(
        images=table.take(rows),
        categories=tuple(
            PreparedCategory(
                id=number,
                synonyms=names,
                splits=tuple(known[number].get("splits", ())),
                scope=known[number].get("scope", ""),
                is_phrase=known[number].get("is_phrase", False),
            )
            for number, names in zip(vocabulary.category_ids, vocabulary.synonyms, strict=True)
        ),
    )


def _image_table(annotations: Mapping[str, Any], wanted: Collection[int]) -> ImageTable:
    """All images in file order, with their boxes of the wanted categories in file order."""
    images = annotations["images"]
    row_of = {image["id"]: row for row, image in enumerate(images)}
    boxes = annotations["annotations"]
    wanted_M = np.isin(integers(boxes, "category_id"), [*wanted]) & (integers(boxes, "iscrowd", 0) == 0)
    category_M, image_M = integers(boxes, "category_id")[wanted_M], integers(boxes, "image_id")[wanted_M]
    ids, index_M = np.unique(image_M, return_inverse=True)
    row_M = np.array([row_of[number] for number in ids.tolist()], np.int64)[index_M]
    sides_M4 = sides(boxes)[wanted_M]
    size_I2 = np.array([(image["width"], image["height"]) for image in images], dtype=np.int32).reshape(-1, 2)
    corners_M4 = np.concatenate([sides_M4[:, :2], sides_M4[:, :2] + sides_M4[:, 2:]], axis=1)
    corners_M4 = corners_M4.clip(0, np.tile(size_I2[row_M], 2))
    inside_M = (corners_M4[:, 0] < corners_M4[:, 2]) & (corners_M4[:, 1] < corners_M4[:, 3])
    order_M = np.flatnonzero(inside_M)[np.argsort(row_M[inside_M], kind="stable")]
    ends_I = np.bincount(row_M[inside_M], minlength=len(images)).cumsum()
    offsets = np.concatenate([[0], ends_I]).astype(np.int32)
    columns = {
        "id": pa.array([image["id"] for image in images], pa.int64()),
        "file_name": pa.array([image_file_name(image) for image in images], pa.string()),
        "width": pa.array(size_I2[:, 0]),
        "height": pa.array(size_I2[:, 1]),
        "boxes_xyxy": pa.ListArray.from_arrays(4 * offsets, corners_M4[order_M].reshape(-1)),
        "category_ids": pa.ListArray.from_arrays(offsets, category_M[order_M]),
    }
    return ImageTable(pa.table(columns).cast(SCHEMA))
