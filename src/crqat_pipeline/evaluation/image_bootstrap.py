"""COCO AP of the same detections on images drawn with replacement: how far a figure hangs on which images were taken.

The same seed draws the same images, so draws of two detectors are paired draw by draw.

Shape letters: S draws, I images, K categories, T IoU thresholds, M detections and G objects of one category, R recall
points.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crqat_pipeline.evaluation.annotation_table import read_annotations
from crqat_pipeline.evaluation.backend_reference import matched_coco
from crqat_pipeline.evaluation.detection_cut import cut
from crqat_pipeline.evaluation.detection_table import DetectionTable, FloatArray, IntArray
from crqat_pipeline.evaluation.ground_truth import scorable
from crqat_pipeline.evaluation.library_input import select_categories
from crqat_pipeline.evaluation.protocol import PROTOCOLS
from crqat_pipeline.runtime.seeding import numpy_generator

_SMALLEST = float(np.spacing(1))


@dataclass(frozen=True)
class _Category:
    """Detections of one category, best score first, and the rows of the images of its detections and objects."""

    is_true_TM: NDArray[np.bool_]
    is_false_TM: NDArray[np.bool_]
    detection_image_M: IntArray
    object_image_G: IntArray


def bootstrap_ap(
    ground_truth: Mapping[str, Any], detections: DetectionTable, num_draws: int, seed: int = 0
) -> FloatArray:
    """COCO AP (S,) in [0, 1] of so many draws of as many images as there are; NaN for a draw without objects.

    An image that is drawn twice counts twice. Matching of detections to objects is pycocotools'; averaging follows its
    rules: 101 recall points, and categories with an object among the drawn images.
    """
    protocol = PROTOCOLS["coco"]
    annotations = read_annotations(scorable(ground_truth), federated=False)
    counted = cut(detections, annotations, protocol)
    every = np.arange(len(annotations.category_ids_K))
    evaluation = matched_coco(select_categories(annotations, counted, every), protocol)
    rows = {int(image): row for row, image in enumerate(annotations.image_ids_I)}
    num_images = len(rows)
    weights_SI = np.stack([np.bincount(one, minlength=num_images) for one in drawn_images(num_images, num_draws, seed)])
    total_S, measured_S = np.zeros(num_draws), np.zeros(num_draws)
    for category in _categories(evaluation, rows):
        precision_S = _average_precision(category, weights_SI, evaluation.params.recThrs)
        has_objects_S = np.isfinite(precision_S)
        total_S[has_objects_S] += precision_S[has_objects_S]
        measured_S += has_objects_S
    result_S: FloatArray = np.divide(total_S, measured_S, out=np.full(num_draws, np.nan), where=measured_S > 0)
    return result_S


def drawn_images(num_images: int, num_draws: int, seed: int = 0) -> IntArray:
    """Rows of images (S, I) in the order of their ids, with replacement."""
    return numpy_generator(seed, "image_bootstrap").integers(num_images, size=(num_draws, num_images))


def _categories(evaluation: Any, rows: Mapping[int, int]) -> Iterator[_Category]:
    """All areas, the largest cut: the first of each category's runs over the images."""
    parameters = evaluation.params
    num_areas, num_images = len(parameters.areaRng), len(parameters.imgIds)
    for column in range(len(parameters.catIds)):
        first = column * num_areas * num_images
        found = [one for one in evaluation.evalImgs[first : first + num_images] if one is not None]
        if not found:
            continue
        ignored_TM = np.concatenate([one["dtIgnore"] for one in found], axis=1).astype(bool)
        matched_TM = np.concatenate([one["dtMatches"] for one in found], axis=1) > 0
        image_M = np.repeat([rows[one["image_id"]] for one in found], [len(one["dtScores"]) for one in found])
        wanted = [(rows[one["image_id"]], int((np.asarray(one["gtIgnore"]) == 0).sum())) for one in found]
        order_M = np.argsort(-np.concatenate([one["dtScores"] for one in found]), kind="mergesort")
        yield _Category(
            (matched_TM & ~ignored_TM)[:, order_M],
            (~matched_TM & ~ignored_TM)[:, order_M],
            image_M.astype(np.int64)[order_M],
            np.repeat([row for row, _ in wanted], [count for _, count in wanted]).astype(np.int64),
        )


def _average_precision(category: _Category, weights_SI: IntArray, recall_R: FloatArray) -> FloatArray:
    """Mean over thresholds and recall points (S,); NaN for draws without an object of the category."""
    objects_S = weights_SI[:, category.object_image_G].sum(axis=1)
    result_S = np.full(len(weights_SI), np.nan)
    for draw in np.flatnonzero(objects_S):
        weight_M = weights_SI[draw, category.detection_image_M]
        true_TM = (category.is_true_TM * weight_M).cumsum(axis=1)
        false_TM = (category.is_false_TM * weight_M).cumsum(axis=1)
        precision_TM = true_TM / (true_TM + false_TM + _SMALLEST)
        envelope_TM = np.maximum.accumulate(precision_TM[:, ::-1], axis=1)[:, ::-1]
        total = 0.0
        for recall_M, envelope_M in zip(true_TM / objects_S[draw], envelope_TM, strict=True):
            at_R = np.searchsorted(recall_M, recall_R, side="left")
            total += float(envelope_M[at_R[at_R < len(envelope_M)]].sum())
        result_S[draw] = total / (len(envelope_TM) * len(recall_R))
    return result_S
