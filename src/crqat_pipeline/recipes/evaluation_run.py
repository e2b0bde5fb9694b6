"""Figures of every form on every benchmark, and their summary."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from crqat_pipeline.evaluation import evaluate
from crqat_pipeline.evaluation.detection_table import DetectionTable
from crqat_pipeline.evaluation.official_set import set_name, slice_images
from crqat_pipeline.evaluation.result import CategoryResult, EvaluationResult
from crqat_pipeline.recipes.form_spec import Forms
from crqat_pipeline.recipes.gathered import Benchmark
from crqat_pipeline.recipes.specs import EvaluationSpec
from crqat_pipeline.runtime.progress import progress
from crqat_pipeline.structures.vocabulary import Vocabulary

PROTOCOL = {"coco": "coco", "lvis": "lvis", "train": "coco"}
"""Benchmark -> protocol of its figures."""

LARGEST_AP_DIFFERENCE = 0.003
"""Between the student and a file made of it: 0.3 points. The graph may round once more per layer than the student."""

Facts = dict[str, Any]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Truth:
    """Annotations of one benchmark; category_splits: name -> category ids that get an AP of their own."""

    annotations: Mapping[str, Any]
    category_splits: Mapping[str, tuple[int, ...]]


def truth(annotations: Mapping[str, Any], vocabulary: Vocabulary, image_ids: Collection[int] | None = None) -> Truth:
    """Annotations with those splits of the vocabulary that they can measure.

    image_ids: these images only; the name of the set then says that it is a part, unless they are all.
    """
    if image_ids is not None:
        known_ids = {image["id"] for image in annotations["images"]}
        chosen = known_ids.intersection(image_ids)
        if chosen != known_ids:
            name = f"{set_name(annotations)}, {len(chosen)} of {len(known_ids)} images"
            annotations = slice_images(annotations, chosen, name)
    known = {category["id"] for category in annotations["categories"]}
    return Truth(annotations, {name: ids for name, ids in vocabulary.splits.items() if ids and set(ids) <= known})


def truth_of(benchmark: Benchmark) -> Truth:
    """Of the benchmark's own images, where it has annotations. Raises ValueError where it has none."""
    if benchmark.annotations is None:
        raise ValueError("Detections are scored against annotations, and this benchmark has none; give its file.")
    return truth(benchmark.annotations, benchmark.vocabulary, benchmark.split.images.ids.tolist())


Results = dict[str, dict[str, EvaluationResult]]
"""form -> benchmark -> figures."""


def evaluate_tables(tables: Mapping[str, DetectionTable], truths: Mapping[str, Truth], spec: EvaluationSpec) -> Results:
    """Figures of every form on every benchmark, by the benchmark's protocol.

    Only images of the benchmark count: LVIS minival annotates fewer images than COCO val2017.
    """
    protocols = PROTOCOL | {"lvis": spec.lvis_protocol}
    results: Results = {}
    for key, table in progress(tables.items(), "scoring", unit="table"):
        benchmark, form = key.split("/")
        truth = truths[benchmark]
        results.setdefault(form, {})[benchmark] = evaluate(
            truth.annotations,
            _on_images(table, truth.annotations),
            protocols[benchmark],
            spec.backend,
            truth.category_splits,
            processes=spec.processes,
        )
    return results


def _on_images(table: DetectionTable, annotations: Mapping[str, Any]) -> DetectionTable:
    """The detections of annotated images; the table itself where that is all of them."""
    known = np.isin(table.image_ids_M, [image["id"] for image in annotations["images"]])
    return table if known.all() else table.take(known)


def results_as_json(results: Results) -> Facts:
    return {form: {name: one.as_dict() for name, one in by_name.items()} for form, by_name in results.items()}


def results_from_json(document: Facts) -> Results:
    """The inverse of results_as_json."""
    return {
        form: {
            name: EvaluationResult(
                **{**one, "per_category": tuple(CategoryResult(**row) for row in one["per_category"])}
            )
            for name, one in by_name.items()
        }
        for form, by_name in document.items()
    }


def summarize(results: Results, facts: Facts, forms: Forms) -> Facts:
    """form -> benchmark -> the figures that could be measured, with size, cost and distance to the teacher.

    Files made of the student also get `ap_difference_to_student` (of COCO AP); over 0.3 points are warned of.
    """
    metrics: Facts = {}
    for form, by_name in results.items():
        metrics[form] = {
            name: {key: value for key, value in one.metrics.items() if value > -1} for name, one in by_name.items()
        }
        known = facts[form]
        metrics[form] |= {key: value for key, value in known.items() if key != "alignment"}
        if "alignment" in known:
            metrics[form]["alignment"] = {key: one for key, one in known["alignment"].items() if isinstance(one, float)}
    for form in (each for each in forms.having("deliverable") if each in results and forms.main in results):
        difference = results[form]["coco"].metrics["AP"] - results[forms.main]["coco"].metrics["AP"]
        metrics[form]["ap_difference_to_student"] = difference
        if abs(difference) > LARGEST_AP_DIFFERENCE:
            logger.warning(
                "The AP of %s should be its student's to 0.3 points; it differs by %+.2f. Look at int4_export_metrics.",
                forms.labels[form],
                100 * difference,
            )
    return metrics


def ap_by_form(metrics: Facts) -> Facts:
    """What is looked at first, and compared between runs: {"AP": {form: COCO AP}}."""
    return {"AP": {form: figures["coco"]["AP"] for form, figures in metrics.items() if "AP" in figures.get("coco", {})}}


def per_category(results: Results) -> pd.DataFrame:
    """One row per form, benchmark and category that has objects."""
    rows = [
        {"benchmark": name, "form": form, "category": row.name, "frequency": row.frequency, "AP": row.ap}
        for form, by_name in results.items()
        for name, one in by_name.items()
        for row in one.per_category
        if row.ap > -1
    ]
    return pd.DataFrame(rows, columns=["benchmark", "form", "category", "frequency", "AP"])
