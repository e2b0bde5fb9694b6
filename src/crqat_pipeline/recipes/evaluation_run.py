"""Every form of the detector on every benchmark: detections, figures, and what a form costs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.evaluation import evaluate
from crqat_pipeline.evaluation.detection_table import DetectionTable
from crqat_pipeline.evaluation.result import CategoryResult, EvaluationResult
from crqat_pipeline.quantization.cost import cost
from crqat_pipeline.recipes.aligning import align_students
from crqat_pipeline.recipes.detecting import detect_split
from crqat_pipeline.recipes.forms import TEACHER, load_form
from crqat_pipeline.recipes.specs import EvaluationSpec, RunSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.runtime.progress import progress
from crqat_pipeline.structures.checkpoint import Checkpoint
from crqat_pipeline.structures.vocabulary import Vocabulary

PROTOCOL = {"coco": "coco", "lvis": "lvis", "train": "coco"}
"""Benchmark -> protocol of its figures."""

Facts = dict[str, Any]


@dataclass(frozen=True)
class Truth:
    """Annotations of one benchmark; category_splits: name -> category ids that get an AP of their own."""

    annotations: Mapping[str, Any]
    category_splits: Mapping[str, tuple[int, ...]]


def truth(annotations: Mapping[str, Any], vocabulary: Vocabulary, image_ids: Collection[int] | None = None) -> Truth:
    """Annotations (of some images only) with those splits of the vocabulary that they can measure."""
    if image_ids is not None:
        chosen = set(image_ids)
        annotations = {
            **annotations,
            "images": [image for image in annotations["images"] if image["id"] in chosen],
            "annotations": [box for box in annotations["annotations"] if box["image_id"] in chosen],
        }
    known = {category["id"] for category in annotations["categories"]}
    return Truth(annotations, {name: ids for name, ids in vocabulary.splits.items() if ids and set(ids) <= known})


def run_forms(
    sources: Mapping[str, Checkpoint | Path],
    benchmarks: Mapping[str, TrainingData],
    spec: EvaluationSpec,
    run: RunSpec,
    resume_folder: Path,
) -> tuple[dict[str, DetectionTable], Facts]:
    """'<benchmark>/<form>' -> detections; form -> size, bit operations, distance to the teacher."""
    detectors = {form: load_form(source) for form, source in sources.items()}
    tables: dict[str, DetectionTable] = {}
    facts: Facts = {}
    for form, detector in detectors.items():
        runs = dict(_detect(form, detector, benchmarks, spec, run.device, resume_folder))
        tables |= {f"{benchmark}/{form}": table for benchmark, table in runs.items()}
        report = cost(detector, None, spec.image_size_px, len(benchmarks["coco"].vocabulary))
        facts[form] = {"size_mb": report.size_mb, "bops_t": report.bops_t}
        source = sources[form]
        if isinstance(source, Path):
            facts[form]["size_mb"] = source.stat().st_size / 2**20
    students = {form: detector for form, detector in detectors.items() if form != TEACHER}
    for form, summary in align_students(detectors[TEACHER], students, benchmarks["coco"], spec, run.device).items():
        facts[form]["alignment"] = asdict(summary)
    return tables, facts


def _detect(
    form: str,
    detector: OpenVocabularyDetector,
    benchmarks: Mapping[str, TrainingData],
    spec: EvaluationSpec,
    device: str,
    resume_folder: Path,
) -> Iterator[tuple[str, DetectionTable]]:
    """One run per benchmark; benchmarks of the same images and prompts share one."""
    done: list[tuple[TrainingData, DetectionTable]] = []
    for name, data in benchmarks.items():
        table = next((found for other, found in done if _is_same_question(other, data)), None)
        if table is None:
            table = detect_split(detector, data, spec, device, f"{form} on {name}", resume_folder)
            done.append((data, table))
        yield name, table


def _is_same_question(left: TrainingData, right: TrainingData) -> bool:
    prompts_agree = left.vocabulary.names == right.vocabulary.names
    return left.split is right.split and prompts_agree and left.vocabulary.category_ids == right.vocabulary.category_ids


Results = dict[str, dict[str, EvaluationResult]]
"""form -> benchmark -> figures."""


def evaluate_tables(tables: Mapping[str, DetectionTable], truths: Mapping[str, Truth], spec: EvaluationSpec) -> Results:
    """Figures of every form on every benchmark, by the benchmark's protocol."""
    results: Results = {}
    for key, table in progress(tables.items(), "scoring", unit="table"):
        benchmark, form = key.split("/")
        truth = truths[benchmark]
        results.setdefault(form, {})[benchmark] = evaluate(
            truth.annotations,
            table,
            PROTOCOL[benchmark],
            spec.backend,
            truth.category_splits,
            processes=spec.processes,
        )
    return results


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


def summarize(results: Results, facts: Facts) -> Facts:
    """form -> benchmark -> the figures that could be measured, with size, cost and distance to the teacher."""
    metrics: Facts = {}
    for form, by_name in results.items():
        metrics[form] = {
            name: {key: value for key, value in one.metrics.items() if value > -1} for name, one in by_name.items()
        }
        known = facts[form]
        metrics[form] |= {key: value for key, value in known.items() if key != "alignment"}
        if "alignment" in known:
            metrics[form]["alignment"] = {key: one for key, one in known["alignment"].items() if isinstance(one, float)}
    return metrics


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
