"""Chooses what each stage sees, and turns the vocabulary into text embeddings."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from crqat_pipeline.pipelines.data_prep.nodes import embed_qat_prompts, embed_vocabularies, prepare_splits
from crqat_pipeline.pipelines.gather_nodes import gather
from crqat_pipeline.runtime.needs import LIGHT

DATA = (
    "train_data",
    "qat_data",
    "calibration_data",
    "stage_data",
    "parity_data",
    "val_benchmark",
    "lvis_benchmark",
    "qat_benchmark",
)


def create_pipeline() -> Pipeline:
    nodes = [
        Node(
            prepare_splits,
            inputs=[
                "params:data_prep",
                "params:run",
                "data_report",
                "train_annotations",
                "qat_annotations",
                "val_annotations",
            ],
            outputs=["train_set", "qat_set", "calibration_set", "val_set"],
            name="prepare_splits",
            tags=LIGHT,
        ),
        Node(
            embed_vocabularies,
            inputs=["params:data_prep", "data_report", "val_annotations", "val_annotations_lvis"],
            outputs=["vocabulary", "text_bank", "lvis_vocabulary", "lvis_text_bank"],
            name="embed_vocabularies",
            tags=LIGHT,
        ),
        Node(
            embed_qat_prompts,
            inputs=["params:data_prep", "qat_set", "vocabulary", "text_bank"],
            outputs=["qat_vocabulary", "qat_text_bank"],
            name="embed_qat_prompts",
            tags=LIGHT,
        ),
        *gather(*DATA),
    ]
    return Pipeline(nodes, namespace="data_prep", prefix_datasets_with_namespace=False)
