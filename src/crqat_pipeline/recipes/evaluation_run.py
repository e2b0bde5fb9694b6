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
from crqat_pipeline.evaluation.result import EvaluationResult
from crqat_pipeline.quantization.cost import cost
from crqat_pipeline.recipes.aligning import align_students
from crqat_pipeline.recipes.detecting import DetectionRun, detect_split
from crqat_pipeline.recipes.forms import TEACHER, load_form
from crqat_pipeline.recipes.sample import TrainingData
from crqat_pipeline.recipes.specs import EvaluationSpec, RunSpec
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
    sources: Mapping[str, Checkpoint | Path], benchmarks: Mapping[str, TrainingData], spec: EvaluationSpec, run: RunSpec
) -> tuple[dict[str, DetectionTable], Facts]:
    """'<benchmark>/<form>' -> detections; form -> milliseconds, size, bit operations, distance to the teacher."""
    detectors = {form: load_form(source) for form, source in sources.items()}
    tables: dict[str, DetectionTable] = {}
    facts: Facts = {}
    for form, detector in detectors.items():
        runs = dict(_detect(form, detector, benchmarks, spec, run.device))
        tables |= {f"{benchmark}/{form}": one.detections for benchmark, one in runs.items()}
        report = cost(detector, None, spec.image_size_px, len(benchmarks["coco"].vocabulary))
        facts[form] = {
            "milliseconds_per_image": runs["coco"].milliseconds_per_image,
            "size_mb": report.size_mb,
            "bops_t": report.bops_t,
        }
        if isinstance(sources[form], Path):
            facts[form]["size_mb"] = Path(str(sources[form])).stat().st_size / 2**20
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
) -> Iterator[tuple[str, DetectionRun]]:
    """One run per benchmark; benchmarks of the same images and prompts share one."""
    done: list[tuple[TrainingData, DetectionRun]] = []
    for name, data in benchmarks.items():
        run = next((run for other, run in done if _is_same_question(other, data)), None)
        if run is None:
            run = detect_split(detector, data, spec, device, f"{form} on {name}")
            done.append((data, run))
        yield name, run


def _is_same_question(left: TrainingData, right: TrainingData) -> bool:
    prompts_agree = left.vocabulary.names == right.vocabulary.names
    return left.split is right.split and prompts_agree and left.vocabulary.category_ids == right.vocabulary.category_ids


def evaluate_table(table: DetectionTable, benchmark: str, truth: Truth, spec: EvaluationSpec) -> EvaluationResult:
    """Figures of one form on one benchmark, by the benchmark's protocol."""
    return evaluate(truth.annotations, table, PROTOCOL[benchmark], spec.backend, truth.category_splits)


def score_forms(
    tables: Mapping[str, DetectionTable], truths: Mapping[str, Truth], facts: Facts, spec: EvaluationSpec
) -> tuple[Facts, pd.DataFrame]:
    """form -> benchmark -> figures, with the form's facts; and one row per form, benchmark and category."""
    metrics: Facts = {}
    rows: list[dict[str, Any]] = []
    for key, table in tables.items():
        benchmark, form = key.split("/")
        result = evaluate_table(table, benchmark, truths[benchmark], spec)
        metrics.setdefault(form, {})[benchmark] = {name: value for name, value in result.metrics.items() if value > -1}
        rows += [
            {"benchmark": benchmark, "form": form, "category": row.name, "frequency": row.frequency, "AP": row.ap}
            for row in result.per_category
            if row.ap > -1
        ]
    for form, known in facts.items():
        flat = {name: value for name, value in known.items() if name != "alignment"}
        distances = {name: value for name, value in known.get("alignment", {}).items() if isinstance(value, float)}
        metrics[form] |= flat | ({"alignment": distances} if distances else {})
    return metrics, pd.DataFrame(rows)
