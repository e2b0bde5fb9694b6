"""What a detector calls the objects it finds: near synonyms taken for one another ("lamp" or "ceiling fan").

Shape letters: G objects, M detections, K categories, D embedding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crqat_pipeline.detection_data.annotation_file import is_federated
from crqat_pipeline.evaluation.annotation_table import read_annotations
from crqat_pipeline.evaluation.detection_table import DetectionTable, FloatArray

Names = Counter[tuple[int, int]]


@dataclass(frozen=True)
class ConfusionRow:
    """A pair of categories. share_by_form: form -> share of the found objects of true_name that the form calls
    called_name, in [0, 1]. text_similarity: cosine of the two text embeddings, NaN when they were not given.
    """

    true_name: str
    called_name: str
    num_objects: int
    text_similarity: float
    share_by_form: Mapping[str, float]


def box_ious(boxes_xywh_M4: FloatArray, others_xywh_G4: FloatArray) -> FloatArray:
    """(M, G) intersection over union of boxes in xywh."""
    first, second = boxes_xywh_M4[:, None], others_xywh_G4[None]
    overlap = np.minimum(first[..., :2] + first[..., 2:], second[..., :2] + second[..., 2:])
    sides = (overlap - np.maximum(first[..., :2], second[..., :2])).clip(min=0)
    shared = sides.prod(axis=-1)
    union = first[..., 2:].prod(axis=-1) + second[..., 2:].prod(axis=-1) - shared
    return np.asarray(shared / np.maximum(union, np.finfo(np.float64).tiny))


def called_names(ground_truth: Mapping[str, Any], detections: DetectionTable, iou_threshold: float = 0.5) -> Names:
    """(category of the object, category it is called) -> number of objects. An object is called what the most
    confident detection says that overlaps it by iou_threshold; objects that no detection overlaps are not counted.
    """
    truth = read_annotations(ground_truth, federated=is_federated(ground_truth))
    counts: Names = Counter()
    by_image = np.argsort(detections.image_ids_M, kind="stable")
    sorted_images = detections.image_ids_M[by_image]
    for image_id in np.unique(truth.object_image_ids_G):
        objects = np.flatnonzero((truth.object_image_ids_G == image_id) & (truth.is_crowd_G == 0))
        first, last = np.searchsorted(sorted_images, [image_id, image_id + 1])
        rows = by_image[first:last]
        if not len(rows) or not len(objects):
            continue
        overlap = box_ious(detections.boxes_xywh_M4[rows], truth.boxes_xywh_G4[objects])
        score = np.where(overlap >= iou_threshold, detections.scores_M[rows, None], -np.inf)
        for column, row in enumerate(score.argmax(axis=0)):
            if np.isfinite(score[row, column]):
                true_id = int(truth.object_category_ids_G[objects[column]])
                counts[true_id, int(detections.category_ids_M[rows[row]])] += 1
    return counts


def near_synonyms(
    text_embeddings_KD: FloatArray, category_ids: Sequence[int], num_neighbours: int = 5
) -> dict[tuple[int, int], float]:
    """(category, another) -> cosine of their texts, for the num_neighbours nearest others of each category.

    Row k of the embeddings belongs to category_ids[k].
    """
    unit_KD = text_embeddings_KD / np.linalg.norm(text_embeddings_KD, axis=1, keepdims=True)
    cosine_KK = unit_KD @ unit_KD.T
    np.fill_diagonal(cosine_KK, -np.inf)
    nearest = np.argsort(-cosine_KK, axis=1, kind="stable")[:, : min(num_neighbours, len(category_ids) - 1)]
    return {
        (one, category_ids[other]): float(cosine_KK[k, other])
        for k, one in enumerate(category_ids)
        for other in nearest[k]
    }


def confusion_rows(
    names_by_form: Mapping[str, Names],
    category_names: Mapping[int, str],
    synonyms: Mapping[tuple[int, int], float] | None = None,
    limit: int = 12,
) -> tuple[ConfusionRow, ...]:
    """The pairs of categories that any form confuses most objects of, most objects first.

    synonyms: only these pairs, with their text similarity (see near_synonyms); None: all pairs.
    """
    found: dict[str, Counter[int]] = {form: Counter() for form in names_by_form}
    wrong: Counter[tuple[int, int]] = Counter()
    for form, names in names_by_form.items():
        for pair, count in names.items():
            found[form][pair[0]] += count
            if pair[0] != pair[1] and (synonyms is None or pair in synonyms):
                wrong[pair] = max(wrong[pair], count)
    return tuple(
        ConfusionRow(
            true_name=category_names[pair[0]],
            called_name=category_names[pair[1]],
            num_objects=max(counts[pair[0]] for counts in found.values()),
            text_similarity=float("nan") if synonyms is None else synonyms[pair],
            share_by_form={
                form: names[pair] / found[form][pair[0]] if found[form][pair[0]] else float("nan")
                for form, names in names_by_form.items()
            },
        )
        for pair in sorted(wrong, key=lambda pair: (-wrong[pair], pair))[:limit]
    )
