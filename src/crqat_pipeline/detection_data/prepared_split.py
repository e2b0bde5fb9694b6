"""What the loader needs of an annotation file: images, their boxes by category id, and the categories."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from crqat_pipeline.detection_data.annotated_vocabulary import vocabulary_from_categories
from crqat_pipeline.detection_data.annotation_file import image_file_name
from crqat_pipeline.runtime.seeding import numpy_generator
from crqat_pipeline.structures.vocabulary import Vocabulary

Box = tuple[float, float, float, float]


class PreparedImage(BaseModel):
    """One image; boxes_xyxy in pixels of the file, inside the image, one category id each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: int
    file_name: str
    width: int
    height: int
    boxes_xyxy: tuple[Box, ...] = ()
    category_ids: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if len(self.boxes_xyxy) != len(self.category_ids):
            raise ValueError(
                f"Image {self.id} needs one category id per box; got {len(self.boxes_xyxy)} boxes and "
                f"{len(self.category_ids)} ids."
            )
        return self


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

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: tuple[PreparedImage, ...]
    categories: tuple[PreparedCategory, ...]

    @property
    def vocabulary(self) -> Vocabulary:
        """The categories as a vocabulary, in category-id order."""
        return vocabulary_from_categories(category.model_dump() for category in self.categories)

    def part(self, start: float, stop: float) -> PreparedSplit:
        """Images from share `start` to share `stop` of the order; consecutive parts are disjoint."""
        if not 0 <= start < stop <= 1:
            raise ValueError(f"A part of a split needs 0 <= start < stop <= 1; got {start} and {stop}.")
        first, last = round(start * len(self.images)), round(stop * len(self.images))
        return self.model_copy(update={"images": self.images[first:last]})


def _inside(bbox: list[float], width: int, height: int) -> Box:
    """COCO left, top, width, height as xyxy, clipped to the image."""
    left, top, box_width, box_height = bbox
    return (
        min(max(left, 0.0), width),
        min(max(top, 0.0), height),
        min(max(left + box_width, 0.0), width),
        min(max(top + box_height, 0.0), height),
    )


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
    boxes: defaultdict[int, list[tuple[Box, int]]] = defaultdict(list)
    sizes = {image["id"]: (image["width"], image["height"]) for image in annotations["images"]}
    for annotation in annotations["annotations"]:
        if annotation["category_id"] in wanted and not annotation.get("iscrowd", 0):
            box = _inside(annotation["bbox"], *sizes[annotation["image_id"]])
            if box[0] < box[2] and box[1] < box[3]:
                boxes[annotation["image_id"]].append((box, annotation["category_id"]))
    keep_empty = category_ids is None if keep_images_without_boxes is None else keep_images_without_boxes
    records = [image for image in annotations["images"] if keep_empty or boxes[image["id"]]]
    if max_images is not None:
        order = numpy_generator(seed, "prepare_split").permutation(len(records))[:max_images]
        records = [records[index] for index in order]
    if not records:
        raise ValueError(
            f"No image is left: {len(annotations['images'])} images, none with a box of the "
            f"{len(wanted)} categories asked for (max_images={max_images})."
        )
    vocabulary = vocabulary_from_categories(known[number] for number in wanted)
    return PreparedSplit(
        images=tuple(
            PreparedImage(
                id=image["id"],
                file_name=image_file_name(image),
                width=image["width"],
                height=image["height"],
                boxes_xyxy=tuple(box for box, _ in boxes[image["id"]]),
                category_ids=tuple(number for _, number in boxes[image["id"]]),
            )
            for image in records
        ),
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
