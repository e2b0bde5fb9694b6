"""Three stages for the dummy project: one spec each, a tracker, metrics, a nested stage."""

from kedro.pipeline import Node, Pipeline

from tests.support.dummy_project import TrainSpec


def train(spec: TrainSpec, tracker) -> tuple[dict, dict]:
    for step in range(spec.num_steps):
        tracker.metrics({"loss": 1.0 / (step + 1)}, step)
    return {"weights": spec.num_steps}, {"final": {"loss": 0.5}, "note": "text"}


def score(student: dict, teacher: dict) -> dict:
    return {"AP": student["weights"] / 10, "teacher": {"AP": teacher["weights"] / 10}}


def stage(name: str, namespace: str | None = None) -> Pipeline:
    node = Node(train, ["params:train", "tracker"], ["student", "metrics"], name="train")
    return Pipeline(
        [node],
        namespace=namespace or name,
        inputs={"tracker": "tracker"},
        outputs={"student": f"{name}_student", "metrics": f"{name}_metrics"},
    )


EVALUATION = Pipeline(
    [Node(score, ["qat_student", "teacher_student"], "evaluation_metrics", name="score")],
    namespace="evaluation",
    prefix_datasets_with_namespace=False,
)

CATALOG = {
    "{stage}_student": {
        "type": "crqat_pipeline.catalog_io.json_document.JsonDocument",
        "filepath": "${globals:data_root}/{stage}/student.json",
        "metadata": {"dvc": {"kind": "outs"}, "mlflow": "artifact"},
    },
    "{stage}_metrics": {
        "type": "crqat_pipeline.catalog_io.json_document.JsonDocument",
        "filepath": "${globals:data_root}/{stage}/metrics.json",
        "metadata": {"dvc": {"kind": "metrics"}, "mlflow": "metrics"},
    },
}
