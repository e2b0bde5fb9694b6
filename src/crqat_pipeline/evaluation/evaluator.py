"""The one entry to every protocol and backend."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from crqat_pipeline.detection_data.annotation_file import is_federated
from crqat_pipeline.evaluation.annotation_table import AnnotationTable, read_annotations
from crqat_pipeline.evaluation.detection_check import check_detections, detection_notes
from crqat_pipeline.evaluation.detection_cut import cut
from crqat_pipeline.evaluation.detection_table import DetectionTable
from crqat_pipeline.evaluation.ground_truth import reading_notes, scorable
from crqat_pipeline.evaluation.input_faults import EvaluationInputError, fault
from crqat_pipeline.evaluation.official_set import near_official
from crqat_pipeline.evaluation.precision_table import (
    IOU_50,
    IOU_75,
    PrecisionTable,
    figures,
    mean_measured,
)
from crqat_pipeline.evaluation.protocol import PROTOCOLS, Protocol
from crqat_pipeline.evaluation.result import CategoryResult, EvaluationResult
from crqat_pipeline.evaluation.shard_run import BACKENDS, ROWS_PER_SHARD, evaluate_shards
from crqat_pipeline.runtime.lookup import look_up

FIGURE_NAMES = ["AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf", "AR", "ARs", "ARm", "ARl"]
"""Reports show a split by its name alone, where it would stand in place of a figure."""


def evaluate(
    ground_truth: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]] | DetectionTable,
    protocol: str,
    backend: str = "reference",
    category_splits: Mapping[str, Collection[int]] | None = None,
    *,
    processes: int = 1,
    rows_per_shard: int = ROWS_PER_SHARD,
) -> EvaluationResult:
    """Box AP of COCO results against a COCO or LVIS annotation dict; neither is changed.

    protocol: "coco", "lvis" (300 per image) or "lvis-fixed" (Dave et al. 2021; the detector keeps 1000 per image).
    backend: "reference" (pycocotools, lvis) or "fast" (faster-coco-eval). category_splits: name -> category ids,
    each reported as AP_<name>. processes, rows_per_shard: see shard_run; they change time and memory, no figure.
    Raises EvaluationInputError (a ValueError) with counts and first offenders for input that does not fit, and
    ImportError if the backend's library is not installed.
    """
    rules = look_up(PROTOCOLS, protocol, "protocol")
    look_up(BACKENDS, backend, "evaluation backend")
    truth = scorable(ground_truth)
    _refuse_wrong_protocol(truth, rules)
    annotations = read_annotations(truth, federated=rules.is_federated)
    groups = _category_groups(annotations, category_splits or {})
    table = detections if isinstance(detections, DetectionTable) else DetectionTable.from_records(detections)
    check_detections(table, annotations)
    counted = cut(table, annotations, rules)
    precision = evaluate_shards(
        annotations, counted, rules, backend, processes=processes, rows_per_shard=rows_per_shard
    )
    return EvaluationResult(
        protocol=protocol,
        backend=backend,
        dataset=annotations.dataset,
        num_images=len(annotations.image_ids_I),
        num_objects=len(annotations.object_image_ids_G),
        num_detections=len(table),
        metrics=figures(precision, rules.limits, groups),
        per_category=_per_category(annotations, counted, precision),
        notes=(*_notes(table, rules), *detection_notes(table), *reading_notes(truth), *near_official(truth)),
    )


def _refuse_wrong_protocol(ground_truth: Mapping[str, Any], rules: Protocol) -> None:
    federated = is_federated(ground_truth)
    if federated == rules.is_federated:
        return
    if federated:
        reason = "images list negative categories (LVIS), where COCO rules would count unlabelled objects as errors"
        way_out = "Use 'lvis' or 'lvis-fixed'"
    else:
        reason = "no image has neg_category_ids, so it is not a federated (LVIS) file"
        way_out = "Use 'coco'"
    images = [image for image in ground_truth.get("images", ()) if ("neg_category_ids" in image) == federated]
    offenders = [f"image {image.get('id')}" for image in images]
    rule = f"It does not fit the ground truth: {reason}. {way_out}."
    raise EvaluationInputError(f"Protocol {rules.name!r}", [fault(rule, offenders)])


def _category_groups(annotations: AnnotationTable, splits: Mapping[str, Collection[int]]) -> dict[str, list[int]]:
    position = {category: k for k, category in enumerate(annotations.category_ids_K.tolist())}
    hiding = [name for name in splits if name in FIGURE_NAMES]
    if hiding:
        rule = f"A category split may not be called like a figure ({', '.join(FIGURE_NAMES)}); give it another name."
        raise EvaluationInputError("The category splits", [fault(rule, hiding)])
    unknown = [f"{name}: {one}" for name, ids in splits.items() for one in ids if one not in position]
    if unknown:
        rule = "Category splits may only name categories of the ground truth."
        raise EvaluationInputError("The category splits", [fault(rule, unknown)])
    groups = {}
    if annotations.is_federated:
        for letter in "rcf":
            groups[f"AP{letter}"] = [k for k, one in enumerate(annotations.frequencies) if one == letter]
    return groups | {f"AP_{name}": [position[one] for one in ids] for name, ids in splits.items()}


def _per_category(
    annotations: AnnotationTable, counted: DetectionTable, table: PrecisionTable
) -> tuple[CategoryResult, ...]:
    ids_K = annotations.category_ids_K
    num_objects_K = np.bincount(np.searchsorted(ids_K, annotations.object_category_ids_G), minlength=len(ids_K))
    num_found_K = np.bincount(np.searchsorted(ids_K, counted.category_ids_M), minlength=len(ids_K))
    precision_TRK = table.precision_TRKA[..., 0]
    return tuple(
        CategoryResult(
            category_id=int(category_id),
            name=annotations.category_names[k],
            frequency=annotations.frequencies[k] if annotations.is_federated else "",
            num_objects=int(num_objects_K[k]),
            num_detections=int(num_found_K[k]),
            ap=mean_measured(precision_TRK[:, :, k]),
            ap50=mean_measured(precision_TRK[IOU_50, :, k]),
            ap75=mean_measured(precision_TRK[IOU_75, :, k]),
            ar=mean_measured(table.recall_TKAL[:, k, 0, -1]),
        )
        for k, category_id in enumerate(ids_K)
    )


def _notes(table: DetectionTable, rules: Protocol) -> tuple[str, ...]:
    if not len(table):
        return ("There are no detections.",)
    _, counts = np.unique(table.image_ids_M, return_counts=True)
    notes = []
    if rules.best_per_image is not None and counts.max() > rules.best_per_image:
        over = int((counts > rules.best_per_image).sum())
        notes.append(f"{over} images had more than {rules.best_per_image} detections and were cut to the best.")
    if rules.name == "lvis-fixed" and counts.max() <= 300:
        notes.append("No image has more than 300 detections; Fixed AP is published with 1000 per image.")
    if rules.name == "lvis-fixed" and counts.max() > 1000:
        notes.append(f"An image has {counts.max()} detections; Fixed AP is published with at most 1000 per image.")
    return tuple(notes)
