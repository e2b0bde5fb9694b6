"""Post-training quantization by several calibration rules, on equal terms."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

from crqat_pipeline.model_files.rebuilding import rebuild
from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.recipes.detecting import detect_split
from crqat_pipeline.recipes.evaluation_run import evaluate_tables, truth_of
from crqat_pipeline.recipes.gathered import Benchmark
from crqat_pipeline.recipes.qat import post_training_quantization
from crqat_pipeline.recipes.specs import EvaluationSpec, PtqSpec, RunSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.structures.checkpoint import Checkpoint

logger = logging.getLogger(__name__)

PTQ_RULES: Mapping[str, str] = {"ptq_minmax": "minmax", "ptq_percentile": "percentile", "ptq_omse": "mse"}
"""Baseline -> row of INITIALIZATIONS, for weights and activations alike."""


def with_rule(quantization: QuantSpec, baseline: str) -> QuantSpec:
    """The same bits and granularities, calibrated by the rule of this baseline."""
    rule = PTQ_RULES[baseline]
    return QuantSpec.model_validate(
        quantization.model_dump() | {"weight_initialization": rule, "activation_initialization": rule}
    )


def compare_rules(
    teacher: Checkpoint,
    calibration: TrainingData,
    validation: Benchmark,
    quantization: QuantSpec,
    spec: EvaluationSpec,
    run: RunSpec,
    resume_folder: Path,
) -> dict[str, dict[str, float]]:
    """baseline -> COCO figures of the calibrated detector; no weight is trained."""
    if not run.reuse:
        shutil.rmtree(resume_folder, ignore_errors=True)
    tables, ptq = {}, PtqSpec(image_size_px=spec.image_size_px)
    for baseline in PTQ_RULES:
        rule = with_rule(quantization, baseline)
        student = post_training_quantization(teacher, calibration, rule, run, ptq)
        detector = rebuild(student).detector
        tables[f"coco/{baseline}"] = detect_split(detector, validation, spec, run.device, baseline, resume_folder)
    results = evaluate_tables(tables, {"coco": truth_of(validation)}, spec)
    metrics = {
        baseline: {name: value for name, value in one["coco"].metrics.items() if value > -1}
        for baseline, one in results.items()
    }
    for baseline, figures in metrics.items():
        logger.info("%-16s AP %.1f", baseline, 100 * figures["AP"])
    return metrics
