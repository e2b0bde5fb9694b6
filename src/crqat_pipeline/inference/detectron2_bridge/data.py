"""Annotation files of the data catalog in detectron2's catalogs.

Shape letters: C channels, H W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode

from crqat_pipeline.detection_data.annotated_vocabulary import vocabulary_from_annotations
from crqat_pipeline.detection_data.annotation_file import image_file_name, is_federated, read_json_annotations
from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.structures.vocabulary import Vocabulary


def register_annotations(name: str, annotation_file: str | Path, images: str | Path) -> Vocabulary:
    """Register a COCO or LVIS file and its image folder under a name; returns the vocabulary that classes refer to.

    Class k is the k-th category by id, as everywhere in this project; give `.names` as the model's prompts. Registered
    again, a name takes the new file. Raises ValueError for a file that is not COCO- or LVIS-like.
    """
    annotations, folder = read_json_annotations(annotation_file), ImageFolder(images)
    vocabulary = vocabulary_from_annotations(annotations)
    if name in DatasetCatalog.list():
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)
    DatasetCatalog.register(name, partial(_records, annotations, folder, vocabulary))
    MetadataCatalog.get(name).set(
        json_file=str(annotation_file),
        image_root=str(folder.root),
        evaluator_type="lvis" if is_federated(annotations) else "coco",
        thing_classes=list(vocabulary.names),
        thing_dataset_id_to_contiguous_id={number: k for k, number in enumerate(vocabulary.category_ids)},
    )
    return vocabulary


class UnchangedImages:
    """A mapper for detectron2's test loader: images upright and in their own size, as every reader here takes them.

    The model letterboxes them itself; resized before by detectron2, they would be resampled twice.
    """

    def __init__(self, channel_order: Literal["BGR", "RGB"] = "BGR") -> None:
        self._is_reversed = channel_order == "BGR"

    def __call__(self, record: Mapping[str, Any]) -> dict[str, Any]:
        path = Path(record["file_name"])
        pixels_HWC = np.asarray(ImageFolder(path.parent).open(path.name))
        image_CHW = torch.from_numpy(pixels_HWC.transpose(2, 0, 1).copy())
        return {**record, "image": image_CHW.flip(0) if self._is_reversed else image_CHW}


def _records(annotations: Mapping[str, Any], images: ImageFolder, vocabulary: Vocabulary) -> list[dict[str, Any]]:
    column = {number: k for k, number in enumerate(vocabulary.category_ids)}
    objects: dict[int, list[dict[str, Any]]] = {}
    for box in annotations["annotations"]:
        one = {
            "bbox": list(box["bbox"]),
            "bbox_mode": BoxMode.XYWH_ABS,
            "category_id": column[box["category_id"]],
            "iscrowd": box.get("iscrowd", 0),
        }
        objects.setdefault(box["image_id"], []).append(one)
    return [
        {
            "file_name": str(images.locate(image_file_name(image))),
            "image_id": image["id"],
            "height": image["height"],
            "width": image["width"],
            "annotations": objects.get(image["id"], []),
        }
        for image in annotations["images"]
    ]
