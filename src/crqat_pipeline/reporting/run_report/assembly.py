"""The report of a run, put together from what the stages measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure
from torchvision.ops import box_convert, nms

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.evaluation.alignment import AlignmentSummary
from crqat_pipeline.evaluation.comparison import ShownDetections
from crqat_pipeline.evaluation.confusion import called_names, confusion_rows, near_synonyms
from crqat_pipeline.evaluation.detection_table import DetectionTable
from crqat_pipeline.evaluation.levels import LevelFigures
from crqat_pipeline.recipes.evaluation_run import Facts, Results, results_from_json
from crqat_pipeline.recipes.gathered import Benchmark, Measured
from crqat_pipeline.recipes.specs import EvaluationSpec, RunSpec
from crqat_pipeline.reporting.run_report.content import GalleryImage, LossCurve, ReportData, ReportForm
from crqat_pipeline.reporting.run_report.heat_map import colour_range, heat_map_rows
from crqat_pipeline.reporting.run_report.html_page import render_report
from crqat_pipeline.reporting.run_report.sheets import (
    alignment_sheets,
    ap_figure,
    gallery_sheet,
    heat_map_sheet,
    loss_sheet,
)
from crqat_pipeline.reporting.run_report.which_layers import FormLayers, form_layers
from crqat_pipeline.structures.history import STEP, loss_columns
from crqat_pipeline.structures.vocabulary import Vocabulary

GALLERY_NMS_IOU = 0.6
SPLIT_MEANINGS = {
    "base": "categories that the teacher's training images contain",
    "novel": "compositions that no training image contains",
    "qat": "base categories that the QAT images contain",
    "unseen": "base categories that the QAT images do not contain",
}


@dataclass(frozen=True)
class Told:
    """What other stages told. histories: stage -> loss curves. layers: form -> (its quantizers, groups of them)."""

    histories: Mapping[str, pd.DataFrame]
    layers: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]]


def report_forms(results: Results, facts: Facts, latency: Facts, labels: Mapping[str, str]) -> list[ReportForm]:
    """One form per label, in the order of the parameters: its LVIS figures with COCO's beside them, where there are
    both, else COCO's."""
    forms = []
    for form, label in labels.items():
        if form not in results:
            continue
        coco, lvis = results[form]["coco"], results[form].get("lvis")
        forms.append(
            ReportForm(
                name=label,
                evaluation=lvis or coco,
                size_mb=facts[form]["size_mb"],
                bops_t=facts[form].get("bops_t"),
                latency_ms=latency["latency_ms"].get(form),
                other_figures={name: coco.metrics[name] for name in ("AP", "AP50")} if lvis else {},
            )
        )
    return forms


def loss_curves(histories: Mapping[str, pd.DataFrame]) -> list[LossCurve]:
    """One curve per stage that was trained, of the total and of every loss that it had."""
    return [
        LossCurve(
            stage, history[STEP].tolist(), {name: history[name].tolist() for name in loss_columns(history.columns)}
        )
        for stage, history in histories.items()
        if len(history)
    ]


def gallery(
    detections: Mapping[str, DetectionTable],
    labels: Mapping[str, str],
    images: ImageFolder,
    annotations: Mapping[str, Any],
    vocabulary: Vocabulary,
    num_images: int,
    threshold: float,
) -> list[GalleryImage]:
    """The same images as each of these forms sees them, teacher first: the first images that have objects."""
    with_objects = {box["image_id"] for box in annotations["annotations"]}
    chosen = [image for image in annotations["images"] if image["id"] in with_objects][:num_images]
    names = dict(zip(vocabulary.category_ids, vocabulary.names, strict=True))
    return [
        GalleryImage(
            title=image["file_name"],
            image=images.open(image["file_name"]),
            detections={
                labels[form]: _shown(table, image["id"], names, threshold) for form, table in detections.items()
            },
        )
        for image in chosen
    ]


def _shown(table: DetectionTable, image_id: int, names: Mapping[int, str], threshold: float) -> ShownDetections:
    """Confident detections, one name per box: people read the best name, evaluation sees them all."""
    rows = table.take((table.image_ids_M == image_id) & (table.scores_M >= threshold))
    corners_M4 = box_convert(torch.from_numpy(rows.boxes_xywh_M4), "xywh", "xyxy")
    best = nms(corners_M4, torch.from_numpy(rows.scores_M), GALLERY_NMS_IOU).numpy()
    labels = tuple(names[int(one)] for one in rows.category_ids_M[best])
    return ShownDetections(corners_M4.numpy()[best], labels, rows.scores_M[best])


def alignment_of(facts: Facts, labels: Mapping[str, str]) -> dict[str, AlignmentSummary]:
    """Label -> distances to the teacher, of the forms that have them. What JSON holds as null is not a number."""
    found: Facts = {labels[form]: known["alignment"] for form, known in facts.items() if "alignment" in known}
    return {label: _summary(one) for label, one in found.items()}


def levels_of(facts: Facts, labels: Mapping[str, str]) -> dict[str, dict[str, LevelFigures]]:
    """Label -> level of the pyramid -> figures, of the forms that have them."""
    return {
        labels[form]: {level: LevelFigures(**one) for level, one in known["levels"].items()}
        for form, known in facts.items()
        if known.get("levels")
    }


def layers_of(told: Told, group_ap: pd.DataFrame, labels: Mapping[str, str]) -> dict[str, FormLayers]:
    """Label -> quantizers and groups, of the forms whose diagnostics are there."""
    return {
        labels[form]: form_layers(layers, groups, group_ap[group_ap["form"] == form])
        for form, (layers, groups) in told.layers.items()
    }


def _summary(stored: Facts) -> AlignmentSummary:
    values: Facts = {key: math.nan if value is None else value for key, value in stored.items()}
    return AlignmentSummary(**values)


def draw(
    detections: Mapping[str, DetectionTable],
    data: Benchmark,
    measured: Measured,
    told: Told,
    spec: EvaluationSpec,
    run: RunSpec,
) -> dict[str, str | Figure]:
    """The HTML report and its pictures, by the names of their datasets."""
    images, vocabulary, annotations = data.images, data.vocabulary, data.annotations or {}
    results, facts = results_from_json(measured.results), measured.form_facts
    latency, maps = measured.latency, measured.similarity_maps
    compared, labels = spec.compared, spec.compared.labels
    pictured = [compared.teacher, *(form for form in compared.having("gallery") if form != compared.teacher)]
    coco = {form: detections[f"coco/{form}"] for form in pictured if form in results}
    shown = gallery(coco, labels, images, annotations, vocabulary, spec.gallery_images, spec.gallery_threshold)
    called = {labels[form]: called_names(annotations, table) for form, table in coco.items()}
    synonyms = near_synonyms(data.text_bank.embeddings_KD.double().numpy(), vocabulary.category_ids)
    names = dict(zip(vocabulary.category_ids, vocabulary.names, strict=True))
    curves, forms, alignment = (
        loss_curves(told.histories),
        report_forms(results, facts, latency, labels),
        alignment_of(facts, labels),
    )
    heat_maps, scale = heat_map_rows(maps, images, labels), colour_range(maps)
    report = ReportData(
        title="CR-QAT: full precision against 4 bits",
        forms=forms,
        teacher=labels[compared.teacher],
        main=labels[compared.main],
        facts={"Prompts": str(len(vocabulary)), "Seed": str(run.seed)},
        split_meanings=SPLIT_MEANINGS,
        loss_curves=curves,
        confusions=confusion_rows(called, names, synonyms),
        gallery=shown,
        alignment=alignment,
        heat_maps=heat_maps,
        heat_map_range=scale,
        levels=levels_of(facts, labels),
        layers=layers_of(told, measured.group_ap, labels),
        latency_where=latency["where"],
        deployed=labels[deployed] if (deployed := compared.deployed(results)) else None,
        score_threshold=spec.gallery_threshold,
    )
    alignment_plot, distortion_plot = alignment_sheets(alignment, [form.name for form in forms])
    return {
        "report": render_report(report),
        "gallery": gallery_sheet(shown, spec.gallery_threshold),
        "ap_plot": ap_figure(results, compared),
        "loss_plot": loss_sheet(curves),
        "alignment_plot": alignment_plot,
        "distortion_plot": distortion_plot,
        "heat_map_plot": heat_map_sheet(heat_maps, *scale),
    }
