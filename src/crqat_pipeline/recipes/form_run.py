"""Every form of the detector on every benchmark: detections, and what a form costs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.evaluation.detection_table import DetectionTable
from crqat_pipeline.inference.onnx_model import OnnxModel
from crqat_pipeline.quantization.cost import cost
from crqat_pipeline.recipes.aligning import align_students
from crqat_pipeline.recipes.detecting import detect_images, detect_split
from crqat_pipeline.recipes.detection_on_workers import detect_on_workers, store_label
from crqat_pipeline.recipes.forms import Source, graph_finder, is_graph, load_form, written
from crqat_pipeline.recipes.gathered import Benchmark
from crqat_pipeline.recipes.level_run import level_figures
from crqat_pipeline.recipes.specs import EvaluationSpec, RunSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.recipes.stage_facts import weights_digest
from crqat_pipeline.runtime.facts import content_digest

Facts = dict[str, Any]
Tables = dict[str, DetectionTable]
Question = TypeVar("Question", bound=TrainingData)
Detect = Callable[[str, TrainingData], DetectionTable]
"""Name of a benchmark and its data -> detections."""


def run_forms(
    sources: Mapping[str, Source],
    benchmarks: Mapping[str, Benchmark],
    spec: EvaluationSpec,
    run: RunSpec,
    resume_folder: Path,
) -> tuple[Tables, Facts]:
    """'<benchmark>/<form>' -> detections; form -> size, bit operations, distance to the teacher, figures by level.

    Where the run has workers, they detect, each in images that it claims; the rest is done here.

    A form whose file is empty was not exported: there is none then. A graph of the main student costs what it does.
    Levels of teacher and main student have figures by the annotations of the benchmark "coco".
    """
    if not run.reuse:
        shutil.rmtree(resume_folder, ignore_errors=True)
    forms, sources = spec.compared, written(sources)
    detectors = {form: load_form(source) for form, source in sources.items() if not is_graph(source)}
    if run.workers.is_shared:
        weights = {form: weights_digest(detector.state_dict()) for form, detector in detectors.items()}
        detect_on_workers(sources, weights, _distinct(benchmarks), spec, run, resume_folder)
    tables: Tables = {}
    facts: Facts = {}
    for form, detector in detectors.items():
        detect = partial(_detect, detector, form, spec, run.device, resume_folder)
        tables |= {f"{benchmark}/{form}": table for benchmark, table in _on_all(benchmarks, detect)}
        report = cost(detector, None, spec.image_size_px, len(benchmarks["coco"].vocabulary))
        facts[form] = {"size_mb": report.size_mb, "bops_t": report.bops_t}
        source = sources[form]
        if isinstance(source, Path):
            facts[form]["size_mb"] = _size_mb(source)
    for form, source in sources.items():
        if isinstance(source, Path) and is_graph(source):
            tables |= _detect_graph(form, source, benchmarks, spec, resume_folder)
            facts[form] = {"size_mb": _size_mb(source)}
            if form in forms.having("deliverable"):
                facts[form]["bops_t"] = facts[forms.main]["bops_t"]
    students = {form: detector for form, detector in detectors.items() if form != forms.teacher}
    for form, summary in align_students(
        detectors[forms.teacher], students, benchmarks["coco"], spec, run.device
    ).items():
        facts[form]["alignment"] = asdict(summary)
    annotations = benchmarks["coco"].annotations or {}
    for form in (forms.teacher, forms.main):
        by_level = level_figures(
            detectors[form], benchmarks["coco"], annotations, spec, run.device, form, resume_folder
        )
        facts[form]["levels"] = {level: asdict(one) for level, one in by_level.items()}
    return tables, facts


def _size_mb(path: Path) -> float:
    return path.stat().st_size / 2**20


def _detect(
    detector: OpenVocabularyDetector,
    form: str,
    spec: EvaluationSpec,
    device: str,
    resume_folder: Path,
    name: str,
    data: TrainingData,
) -> DetectionTable:
    return detect_split(detector, data, spec, device, store_label(form, name), resume_folder)


def _detect_graph(
    form: str, path: Path, benchmarks: Mapping[str, TrainingData], spec: EvaluationSpec, resume_folder: Path
) -> Tables:
    model, weights = OnnxModel(path), content_digest(path.read_bytes())

    def detect(name: str, data: TrainingData) -> DetectionTable:
        find = graph_finder(model, data, spec)
        return detect_images(find, weights, data, spec, store_label(form, name), resume_folder)

    return {f"{benchmark}/{form}": table for benchmark, table in _on_all(benchmarks, detect)}


def _on_all(benchmarks: Mapping[str, TrainingData], detect: Detect) -> Iterator[tuple[str, DetectionTable]]:
    """One run per benchmark; benchmarks of the same images and prompts share one."""
    tables = {name: detect(name, data) for name, data in _distinct(benchmarks).items()}
    for name, data in benchmarks.items():
        yield name, next(table for other, table in tables.items() if _is_same_question(benchmarks[other], data))


def _distinct(benchmarks: Mapping[str, Question]) -> dict[str, Question]:
    """Those that ask something that none before them asks."""
    kept: dict[str, Question] = {}
    for name, data in benchmarks.items():
        if not any(_is_same_question(other, data) for other in kept.values()):
            kept[name] = data
    return kept


def _is_same_question(left: TrainingData, right: TrainingData) -> bool:
    images_agree = left.split == right.split and repr(left.images) == repr(right.images)
    prompts_agree = left.vocabulary.names == right.vocabulary.names
    return images_agree and prompts_agree and left.vocabulary.category_ids == right.vocabulary.category_ids
