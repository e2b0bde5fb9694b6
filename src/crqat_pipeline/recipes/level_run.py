"""Target scores and AP of each level of a detector's pyramid, on the first validation images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crqat_pipeline.detection_data.training_loader import training_batches
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.evaluation import evaluate
from crqat_pipeline.evaluation.levels import LevelFigures, level_masks, regions_of, target_shares, target_sums
from crqat_pipeline.recipes.aligning import whole_vocabulary_loader
from crqat_pipeline.recipes.detecting import detect_images
from crqat_pipeline.recipes.evaluation_run import truth
from crqat_pipeline.recipes.specs import EvaluationSpec
from crqat_pipeline.recipes.stage_data import TrainingData, digest
from crqat_pipeline.runtime.device import choose_device
from crqat_pipeline.structures.output import Detections


@torch.inference_mode()
def level_target_shares(
    detector: OpenVocabularyDetector, data: TrainingData, spec: EvaluationSpec, device_name: str
) -> dict[str, float]:
    """Level -> share of the target scores that assignment gives its regions, over `spec.alignment_images` images."""
    device = choose_device(device_name)
    detector.to(device).eval()
    loader, num_batches = whole_vocabulary_loader(data, spec)
    sums = []
    for batch in training_batches(data.split, data.images, data.text_bank, data.vocabulary, loader, 0, 0, num_batches):
        batch = batch.to(device)
        output = detector(batch.images_B3HW, batch.text_embeddings)
        masks = level_masks(detector.level_strides(), *batch.images_B3HW.shape[2:])
        sums.append(target_sums(masks, detector.assign(output, batch.targets)))
    return target_shares(sums)


def level_figures(
    detector: OpenVocabularyDetector,
    data: TrainingData,
    annotations: Mapping[str, Any],
    spec: EvaluationSpec,
    device_name: str,
    label: str,
    resume_folder: Path,
) -> dict[str, LevelFigures]:
    """Level -> figures over the first `spec.level_images` images, with a last row "all" for the whole detector.

    Empty where the detector has one level only, or `spec.level_images` is 0.
    """
    if spec.level_images == 0 or len(detector.level_strides()) < 2:
        return {}
    shares = level_target_shares(detector, data, spec, device_name)
    first = replace(data, split=data.split.with_images(data.split.images[: spec.level_images]))
    truths = truth(annotations, data.vocabulary, first.split.images.ids.tolist())
    texts_KD = data.text_bank.embeddings_KD.to(choose_device(device_name))
    weights = digest(detector.state_dict())
    figures = {}
    for level, share in (shares | {"all": 1.0}).items():

        @torch.inference_mode()
        def find(images_B3HW: Tensor, level: str = level) -> Sequence[Detections]:
            output = detector(images_B3HW.to(texts_KD.device), texts_KD)
            if level != "all":
                masks = level_masks(detector.level_strides(), *images_B3HW.shape[2:])
                output = regions_of(output, masks[level])
            return detector.detect(output, score_threshold=spec.score_threshold, max_detections=spec.max_detections)

        table = detect_images(find, weights, first, spec, f"{label}, level {level}", resume_folder)
        result = evaluate(truths.annotations, table, "coco", spec.backend, {}, processes=spec.processes)
        figures[level] = LevelFigures(share, result.metrics["AP"])
    return figures
