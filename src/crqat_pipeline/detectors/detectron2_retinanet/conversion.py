"""`crqat weights` of a RetinaNet of detectron2's model zoo or training, without a run and its text bank.

Each class then stands for an axis of its own (texts of as many numbers as there are classes): the closed vocabulary,
exactly. A run that reads the file as teacher.weights expresses the classes in its own text space.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from crqat_pipeline.detectors.detectron2_retinanet.file_sizes import check_is_retinanet, sizes_of_file
from crqat_pipeline.detectors.detectron2_retinanet.loading import load_tensors
from crqat_pipeline.detectors.detectron2_retinanet.sizes import spec_of
from crqat_pipeline.detectors.family import Builder
from crqat_pipeline.detectors.weights import local_file, read_weights
from crqat_pipeline.detectors.weights.understood import UnderstoodFile, changed
from crqat_pipeline.structures.vocabulary import TextBank

NAMES = {50: "detectron2_retinanet_r50_fpn", 101: "detectron2_retinanet_r101_fpn"}
COCO_SPLIT, NUM_COCO_CLASSES = "coco_2017_val", 80


def describe(source: str | Path, builders: Mapping[str, Builder]) -> UnderstoodFile:
    """A .pkl or .pth file, a path or address. Files hold no class names: 80 classes are COCO's, in detectron2's order;
    others are called class 1, class 2 and so on. builders: the row's.

    Raises WeightsRefused when it is no whole RetinaNet, ValueError where detectron2 is missing.
    """
    path = local_file(source)
    file = read_weights(path)
    check_is_retinanet(path, file.tensors)
    found = sizes_of_file(path, file.tensors)
    name = NAMES.get(found["depth"], NAMES[50])
    options = changed(found, spec_of(name))
    detector = builders[name](**options)
    prompts = _prompts(found["embedding_dim"])
    bank = TextBank(prompts, torch.eye(len(prompts)), "one axis per class", is_normalized=True)
    report = load_tensors(detector, file, bank)
    return UnderstoodFile(report, file.container, name, options, detector.state_dict(), prompts, bank.embeddings_KD)


def _prompts(num_classes: int) -> tuple[str, ...]:
    if num_classes != NUM_COCO_CLASSES:
        return tuple(f"class {index}" for index in range(1, num_classes + 1))
    from detectron2.data import MetadataCatalog

    return tuple(MetadataCatalog.get(COCO_SPLIT).thing_classes)
