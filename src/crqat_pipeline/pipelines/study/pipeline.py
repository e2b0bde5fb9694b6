"""Methods over seeds on equal terms, each at its own best learning rate; beside `crqat_full`, not part of it."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from crqat_pipeline.pipelines.gather_nodes import gather
from crqat_pipeline.pipelines.study.nodes import choose_tuning, pose, prepare_tuning, run, write_results
from crqat_pipeline.runtime.needs import GPU, LIGHT


def create_pipeline() -> Pipeline:
    specs = {
        "detector": "params:detector",
        "teacher": "params:teacher",
        "quantization": "params:quantization",
        "evaluation": "params:evaluation",
        "device": "params:run.device",
        "study": "params:study",
    }
    nodes = [
        Node(
            choose_tuning,
            inputs=["params:fetch_data", "params:study", "qat_annotations"],
            outputs=["tune_images", "tune_annotations"],
            name="choose_tuning",
            tags=LIGHT,
        ),
        Node(prepare_tuning, inputs="tune_annotations", outputs="tune_set", name="prepare_tuning", tags=LIGHT),
        *gather("tune_benchmark", "study_data"),
        Node(pose, inputs={"data": "study_data"} | specs, outputs="study_problem", name="pose", tags=LIGHT),
        Node(
            run,
            inputs=["study_problem", "params:study", "study_folder", "study_rows", "tracker"],
            outputs="study_cells",
            name="run",
            tags=GPU,
        ),
        Node(
            write_results,
            inputs=[
                "study_cells",
                "params:study",
                "params:quantization",
                "params:detector",
                "params:evaluation",
            ],
            outputs=[
                "study_results",
                *(f"study_{plot}_plot" for plot in ("differences", "rates", "alignment", "pareto")),
            ],
            name="write_results",
            tags=LIGHT,
        ),
    ]
    return Pipeline(nodes, namespace="study", prefix_datasets_with_namespace=False)
