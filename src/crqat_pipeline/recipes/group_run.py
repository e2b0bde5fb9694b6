"""AP of a quantized form with one group of its quantizers on at a time, on the first validation images.

Shape letters: B images, 3 RGB, H W pixels.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.evaluation import evaluate
from crqat_pipeline.evaluation.detection_table import DetectionTable
from crqat_pipeline.recipes.detecting import detect_images
from crqat_pipeline.recipes.evaluation_run import truth_of
from crqat_pipeline.recipes.forms import Source, is_graph, load_form, written
from crqat_pipeline.recipes.gathered import Benchmark
from crqat_pipeline.recipes.specs import EvaluationSpec, RunSpec
from crqat_pipeline.recipes.stage_data import digest
from crqat_pipeline.runtime.device import choose_device
from crqat_pipeline.runtime.facts import content_digest
from crqat_pipeline.sensitivity.groups import Group, groups_of
from crqat_pipeline.sensitivity.leave_one_in import alone
from crqat_pipeline.structures.output import Detections

logger = logging.getLogger(__name__)

Row = dict[str, Any]
COLUMNS = ("form", "kind", "group", "quantizers", "images", "AP", "AP50")
SCORED = ("whole", "part", "block", "tensor")
"""Kinds of groups that are scored; of the others the movement says enough."""
NOTHING = Group("whole", "nothing", ())


def group_figures(
    sources: Mapping[str, Source], data: Benchmark, spec: EvaluationSpec, run: RunSpec, resume_folder: Path
) -> list[Row]:
    """A row of COLUMNS per form and group: COCO's AP over the first `spec.group_images` images, in [0, 1].

    Rows "nothing" and "everything" are the form with all of its quantizers off and on. No rows where group_images is 0.
    A graph has no quantizers to switch and is left out.
    """
    if not run.reuse:
        shutil.rmtree(resume_folder, ignore_errors=True)
    if spec.group_images == 0:
        return []
    first = replace(data, split=data.split.with_images(data.split.images[: spec.group_images]))
    rows: list[Row] = []
    for form, source in written(sources).items():
        if is_graph(source):
            logger.warning("%s is a graph, whose quantizers cannot be switched: give its student the role groups", form)
        else:
            rows += _figures_of(form, load_form(source), first, spec, choose_device(run.device), resume_folder)
    return rows


def _figures_of(
    form: str,
    detector: OpenVocabularyDetector,
    data: Benchmark,
    spec: EvaluationSpec,
    device: torch.device,
    resume_folder: Path,
) -> Iterator[Row]:
    detector.to(device).eval()
    texts_KD = data.text_bank.embeddings_KD.to(device)
    weights, truth = digest(detector.state_dict()), truth_of(data)

    @torch.inference_mode()
    def find(images_B3HW: Tensor) -> Sequence[Detections]:
        output = detector(images_B3HW.to(device), texts_KD)
        return detector.detect(output, score_threshold=spec.score_threshold, max_detections=spec.max_detections)

    def detect(group: Group) -> DetectionTable:
        with alone(detector, group.quantizers):
            state = content_digest(weights.encode(), *(name.encode() for name in group.quantizers))
            label = f"{form}, {group.kind} {group.name}"
            return detect_images(find, state, data, spec, label, resume_folder)

    for group in (NOTHING, *(one for one in groups_of(detector) if one.kind in SCORED)):
        result = evaluate(truth.annotations, detect(group), "coco", spec.backend, {}, processes=spec.processes)
        figures = (len(data.split.images), result.metrics["AP"], result.metrics["AP50"])
        yield dict(zip(COLUMNS, (form, group.kind, group.name, len(group.quantizers), *figures), strict=True))
