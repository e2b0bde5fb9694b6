"""Run a detector over a split: one table of detections, in pixels of the original images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_convert

from crqat_pipeline.detection_data.evaluation_loader import evaluation_batches
from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.evaluation.detection_store import DetectionStore, detect_with_resume, open_store
from crqat_pipeline.evaluation.detection_table import DetectionTable
from crqat_pipeline.recipes.code_digest import DETECTING, code_digest
from crqat_pipeline.recipes.specs import EvaluationSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.recipes.stage_facts import data_facts, weights_digest
from crqat_pipeline.runtime.device import choose_device
from crqat_pipeline.structures.output import Detections

Find = Callable[[Tensor], Sequence[Detections]]
"""images_B3HW in [0, 1] -> one Detections per image, in pixels of the input."""
DECISIVE = {"image_size_px", "batch_size", "score_threshold", "max_detections"}
"""Fields of EvaluationSpec that detections depend on."""


def detect_split(
    detector: OpenVocabularyDetector,
    data: TrainingData,
    spec: EvaluationSpec,
    device_name: str,
    label: str,
    resume_folder: Path,
) -> DetectionTable:
    """All images of the split against the whole vocabulary, except those that `resume_folder` has already."""
    find = whole_vocabulary_finder(detector, data, spec, device_name)
    return detect_images(find, weights_digest(detector.state_dict()), data, spec, label, resume_folder)


def whole_vocabulary_finder(
    detector: OpenVocabularyDetector, data: TrainingData, spec: EvaluationSpec, device_name: str
) -> Find:
    """Looks for all prompts of the data; moves the detector to the device."""
    device = choose_device(device_name)
    detector.to(device).eval()
    texts_KD = data.text_bank.embeddings_KD.to(device)

    @torch.inference_mode()
    def find(images_B3HW: Tensor) -> Sequence[Detections]:
        output = detector(images_B3HW.to(device), texts_KD)
        return detector.detect(output, score_threshold=spec.score_threshold, max_detections=spec.max_detections)

    return find


def detect_images(
    find: Find, weights: str, data: TrainingData, spec: EvaluationSpec, label: str, resume_folder: Path
) -> DetectionTable:
    """The same with any model: `find` looks for the whole vocabulary; `weights` is a digest of the model."""
    store = store_of(weights, data, spec, label, resume_folder)
    detect = partial(detect_some, find, data, spec)
    return detect_with_resume(store, data.split.images.ids.tolist(), detect, label=label)


def store_of(weights: str, data: TrainingData, spec: EvaluationSpec, label: str, resume_folder: Path) -> DetectionStore:
    """Where detections of this model in these images are kept."""
    values = {name: repr(value) for name, value in spec.model_dump(include=DECISIVE).items()}
    facts = {"weights": weights, **data_facts(data), **values, "code": code_digest(DETECTING)}
    return open_store(resume_folder / label.replace(" ", "_"), facts, label)


def detect_some(
    find: Find, data: TrainingData, spec: EvaluationSpec, image_ids: Sequence[int]
) -> Iterator[tuple[int, DetectionTable]]:
    """(image id, its detections) of these images, in the order of the split."""
    images = data.split.images
    chosen = images.take(np.flatnonzero(np.isin(images.ids, image_ids)))
    return _detect(find, replace(data, split=data.split.with_images(chosen)), spec)


def _detect(find: Find, data: TrainingData, spec: EvaluationSpec) -> Iterator[tuple[int, DetectionTable]]:
    loader = LoaderSpec(image_size_px=spec.image_size_px, batch_size=spec.batch_size)
    for batch in evaluation_batches(data.split, data.images, loader):
        for index, detections in enumerate(find(batch.images_B3HW)):
            boxes_M4 = batch.to_original(index, detections.boxes_M4.cpu())
            scores_M, labels_M = detections.scores_M.cpu(), detections.labels_M.cpu()
            image_id = batch.image_ids[index]
            yield image_id, _table(image_id, boxes_M4, scores_M, labels_M, data.vocabulary.category_ids)


def _table(
    image_id: int,
    boxes_M4: Tensor,
    scores_M: Tensor,
    labels_M: Tensor,
    category_ids: Sequence[int],
) -> DetectionTable:
    xywh_M4 = box_convert(boxes_M4.double(), "xyxy", "xywh").numpy()
    keep = (xywh_M4[:, 2:] > 0).all(1)
    labels = np.asarray(category_ids, np.int64)[labels_M.numpy()]
    image_ids = np.full(len(labels), image_id, np.int64)
    return DetectionTable(image_ids, labels, xywh_M4, scores_M.double().numpy()).take(keep)
