"""Makes the embedded benchmark, or fetches or accepts files; then checks every image and annotation."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from crqat_pipeline.pipelines.fetch_data.nodes import check, make_or_accept
from crqat_pipeline.runtime.needs import LIGHT

RAW = (
    "train_images",
    "train_annotations",
    "qat_images",
    "qat_annotations",
    "val_images",
    "val_annotations",
    "val_annotations_lvis",
)


def create_pipeline() -> Pipeline:
    nodes = [
        Node(make_or_accept, inputs="params:fetch_data", outputs=list(RAW), name="make_or_accept", tags=LIGHT),
        Node(check, inputs=["params:fetch_data", *RAW], outputs="data_report", name="check", tags=LIGHT),
    ]
    return Pipeline(nodes, namespace="fetch_data", prefix_datasets_with_namespace=False)
