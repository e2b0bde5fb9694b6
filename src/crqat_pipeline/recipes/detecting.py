"""Run a detector over a split: one table of detections, in pixels of the original images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from torchvision.ops import box_convert

from crqat_pipeline.detection_data.evaluation_loader import evaluation_batches
from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.evaluation.detection_table import DetectionTable
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.recipes.specs import EvaluationSpec
from crqat_pipeline.runtime.device import choose_device
from crqat_pipeline.runtime.progress import progress


@dataclass(frozen=True)
class DetectionRun:
    """detections: rows in image order, best first. milliseconds_per_image: network and post-processing."""

    detections: DetectionTable
    milliseconds_per_image: float


@torch.inference_mode()
def detect_split(
    detector: OpenVocabularyDetector, data: TrainingData, spec: EvaluationSpec, device_name: str, label: str
) -> DetectionRun:
    """All images of the split against the whole vocabulary."""
    device = choose_device(device_name)
    detector.to(device).eval()
    texts_KD = data.text_bank.embeddings_KD.to(device)
    batches = evaluation_batches(
        data.split, data.images, LoaderSpec(image_size_px=spec.image_size_px, batch_size=spec.batch_size)
    )
    tables: list[DetectionTable] = []
    seconds = 0.0
    num_batches = -(-len(data.split.images) // spec.batch_size)
    for batch in progress(batches, label, total=num_batches, unit="batch"):
        started = perf_counter()
        output = detector(batch.images_B3HW.to(device), texts_KD)
        found = detector.detect(output, score_threshold=spec.score_threshold, max_detections=spec.max_detections)
        seconds += perf_counter() - started
        for index, detections in enumerate(found):
            boxes_M4 = batch.to_original(index, detections.boxes_M4.cpu())
            tables.append(
                _table(
                    batch.image_ids[index],
                    boxes_M4,
                    detections.scores_M.cpu(),
                    detections.labels_M.cpu(),
                    data.vocabulary.category_ids,
                )
            )
    return DetectionRun(DetectionTable.concatenate(tables), 1000 * seconds / max(1, len(data.split.images)))


def _table(
    image_id: int,
    boxes_M4: torch.Tensor,
    scores_M: torch.Tensor,
    labels_M: torch.Tensor,
    category_ids: Sequence[int],
) -> DetectionTable:
    xywh_M4 = box_convert(boxes_M4.double(), "xyxy", "xywh").numpy()
    keep = (xywh_M4[:, 2:] > 0).all(1)
    labels = np.asarray(category_ids, np.int64)[labels_M.numpy()]
    image_ids = np.full(len(labels), image_id, np.int64)
    return DetectionTable(image_ids, labels, xywh_M4, scores_M.double().numpy()).take(keep)
