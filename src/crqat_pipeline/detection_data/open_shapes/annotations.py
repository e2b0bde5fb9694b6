"""Scenes as COCO JSON, and as LVIS-format JSON with federated labels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from crqat_pipeline.detection_data.open_shapes.categories import CATEGORIES
from crqat_pipeline.detection_data.open_shapes.scene import SceneObject, draw_scene
from crqat_pipeline.detection_data.open_shapes.spec import SPLITS, OpenShapesSpec, Split
from crqat_pipeline.runtime.seeding import numpy_generator
from crqat_pipeline.structures.vocabulary import Vocabulary

IMAGES_PER_SPLIT_LIMIT = 1_000_000
RARE_MAX_IMAGES, COMMON_MAX_IMAGES = 10, 100
NOT_EXHAUSTIVE_SHARE = 0.5
LISTED_CATEGORIES = {"train": "base", "qat": "qat"}
"""Vocabulary split that an annotation file lists; the others list all categories."""


def file_name(index: int) -> str:
    """Name of scene `index` in the image folder of its split."""
    return f"{index:06d}.jpg"


def image_id(split: Split, index: int) -> int:
    """Ids start at 1 in train and are distinct over all splits."""
    return SPLITS.index(split) * IMAGES_PER_SPLIT_LIMIT + index + 1


def _annotation(annotation_id: int, image: int, item: SceneObject) -> dict[str, Any]:
    box = [round(value, 2) for value in (item.left, item.top, item.width, item.height)]
    return {
        "id": annotation_id,
        "image_id": image,
        "category_id": item.category_id,
        "bbox": box,
        "area": round(box[2] * box[3], 2),
        "iscrowd": 0,
    }


def coco_annotations(spec: OpenShapesSpec, split: Split, vocabulary: Vocabulary) -> dict[str, Any]:
    """The complete COCO dictionary of a split; each category also lists the vocabulary splits it is in.

    Training files list no category that they withhold: their names must not even serve as negative prompts.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(spec.num_images(split)):
        number = image_id(split, index)
        size = spec.image_size_px
        images.append({"id": number, "file_name": file_name(index), "width": size, "height": size})
        for item in draw_scene(spec, split, index):
            annotations.append(_annotation(len(annotations) + 1, number, item))
    members = {name: set(ids) for name, ids in vocabulary.splits.items()}
    listed = members[LISTED_CATEGORIES[split]] if split in LISTED_CATEGORIES else set(vocabulary.category_ids)
    categories = [
        {
            "id": category.id,
            "name": category.name,
            "supercategory": category.shape,
            "splits": [name for name in members if category.id in members[name]],
        }
        for category in CATEGORIES
        if category.id in listed
    ]
    info = {"description": f"OpenShapes {split}, rendered by crqat_pipeline", "spec": spec.model_dump()}
    return {
        "info": info,
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }


def training_counts(train: Mapping[str, Any]) -> tuple[Counter[int], Counter[int]]:
    """Training images and training instances by category id."""
    instances = Counter(annotation["category_id"] for annotation in train["annotations"])
    pairs = {(annotation["image_id"], annotation["category_id"]) for annotation in train["annotations"]}
    return Counter(category for _, category in pairs), instances


def frequency(num_training_images: int) -> str:
    """LVIS frequency: r up to 10 training images (novel categories with 0 too), c up to 100, f above."""
    if num_training_images <= RARE_MAX_IMAGES:
        return "r"
    return "c" if num_training_images <= COMMON_MAX_IMAGES else "f"


def _lvis_category(category: Mapping[str, Any], num_images: int, num_instances: int) -> dict[str, Any]:
    return {
        **category,
        "synset": category["name"].replace(" ", "_") + ".n.01",
        "synonyms": [category["name"]],
        "def": f"a {category['name']}",
        "frequency": frequency(num_images),
        "image_count": num_images,
        "instance_count": num_instances,
    }


def lvis_annotations(spec: OpenShapesSpec, coco: Mapping[str, Any], train: Mapping[str, Any]) -> dict[str, Any]:
    """The federated form of a split.

    neg_category_ids: a random draw of absent categories. not_exhaustive_category_ids: of the categories with
    several objects in an image, half are declared not exhaustive and lose their last annotation. frequency,
    image_count and instance_count count the *training* split; novel categories have 0 images and are 'r'.
    """
    image_counts, instance_counts = training_counts(train)
    by_image: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for annotation in coco["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image in coco["images"]:
        random = numpy_generator(spec.seed, "open_shapes", "lvis", image["id"])
        kept = by_image[image["id"]]
        present = Counter(annotation["category_id"] for annotation in kept)
        several = sorted(category for category, count in present.items() if count > 1)
        partial = [category for category in several if random.random() < NOT_EXHAUSTIVE_SHARE]
        for category in partial:
            last = max(i for i, annotation in enumerate(kept) if annotation["category_id"] == category)
            kept = kept[:last] + kept[last + 1 :]
        absent = [category.id for category in CATEGORIES if category.id not in present]
        negatives = random.permutation(absent)[: spec.negatives_per_image].tolist()
        images.append({**image, "neg_category_ids": sorted(negatives), "not_exhaustive_category_ids": partial})
        annotations += [{key: value for key, value in annotation.items() if key != "iscrowd"} for annotation in kept]
    categories = [
        _lvis_category(category, image_counts[category["id"]], instance_counts[category["id"]])
        for category in coco["categories"]
    ]
    return {**coco, "images": images, "annotations": annotations, "categories": categories}
