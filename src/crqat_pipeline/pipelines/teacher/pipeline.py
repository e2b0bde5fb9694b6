"""The full-precision detector that the student starts from and learns from: trained, or loaded."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from crqat_pipeline.pipelines.teacher.nodes import train_or_load
from crqat_pipeline.runtime.needs import GPU


def create_pipeline() -> Pipeline:
    nodes = [
        Node(
            train_or_load,
            inputs=[
                "train_data",
                "params:detector",
                "params:teacher",
                "params:run",
                "teacher_resume",
                "tracker",
            ],
            outputs=["teacher_checkpoint", "teacher_metrics", "teacher_history"],
            name="train_or_load",
            tags=GPU,
        ),
    ]
    return Pipeline(nodes, namespace="teacher", prefix_datasets_with_namespace=False)
