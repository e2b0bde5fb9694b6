"""Runs every form over the validation images, scores it by COCO and LVIS protocols, and draws the report."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from kedro.pipeline import Node, Pipeline

from crqat_pipeline.pipelines.evaluation.forms import diagnostics_inputs, form_inputs, history_inputs
from crqat_pipeline.pipelines.evaluation.nodes import (
    complete_card,
    detect,
    draw,
    map_similarity,
    score,
    score_groups,
    time,
)
from crqat_pipeline.pipelines.gather_nodes import gather
from crqat_pipeline.runtime.needs import GPU, LIGHT

DESCRIBED = "int4_model"
"""The form whose card is completed."""
PICTURES = ("gallery", "ap_plot", "loss_plot", "alignment_plot", "distortion_plot", "heat_map_plot")


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def create_pipeline(forms: Mapping[str, Mapping[str, Any]] = MappingProxyType({})) -> Pipeline:
    """forms: evaluation.forms of the parameters; what they name becomes an input."""
    spec = {"spec": "params:evaluation"}
    run = {"run": "params:run"}
    benchmarks = {"val": "val_benchmark", "lvis": "lvis_benchmark", "qat": "qat_benchmark"}
    validation = {"data": "val_benchmark"}
    nodes = [
        Node(
            detect,
            inputs=form_inputs(forms) | benchmarks | spec | run | {"resume_folder": "evaluation_resume"},
            outputs=["detections", "form_facts"],
            name="detect",
            tags=GPU,
        ),
        Node(
            map_similarity,
            inputs=form_inputs(forms, "gallery") | validation | spec | run,
            outputs="similarity_maps",
            name="map_similarity",
            tags=LIGHT,
        ),
        Node(
            time,
            inputs=form_inputs(forms, "latency") | validation | spec,
            outputs="latency",
            name="time",
            tags=GPU,
        ),
        Node(
            score_groups,
            inputs=form_inputs(forms, "groups")
            | validation
            | spec
            | run
            | {"resume_folder": "evaluation_groups_resume"},
            outputs="group_ap",
            name="score_groups",
            tags=LIGHT,
        ),
        Node(
            score,
            inputs=_same("detections", "form_facts") | benchmarks | spec,
            outputs=["evaluation_results", "evaluation_metrics", "ap_by_form", "per_category"],
            name="score",
            tags=LIGHT,
        ),
        *gather("measured"),
        Node(
            draw,
            inputs=_same("detections", "measured")
            | validation
            | history_inputs(forms)
            | diagnostics_inputs(forms)
            | spec
            | run,
            outputs=_same("report", *PICTURES),
            name="draw",
            tags=LIGHT,
        ),
    ]
    if any(form.get("checkpoint") == DESCRIBED for form in forms.values()):
        card = Node(
            complete_card,
            inputs={"card": "model_card", "results": "evaluation_results"} | spec,
            outputs="evaluated_model_card",
            name="complete_card",
            tags=LIGHT,
        )
        nodes.append(card)
    return Pipeline(nodes, namespace="evaluation", prefix_datasets_with_namespace=False)
