"""A dummy project with three stages: one spec each, a tracker, metrics, a nested stage."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kedro.framework.project import configure_project
from kedro.pipeline import Node, Pipeline

from tests.support.dummy_project import DummyProject, TrainSpec


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


@pytest.fixture
def dummy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DummyProject]:
    monkeypatch.delenv("DVC_STAGE", raising=False)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    project = DummyProject(tmp_path, monkeypatch)
    project.write("base", "catalog", CATALOG)
    project.write("base", "parameters", {"run": {"seed": 3}})
    project.write("base", "parameters_teacher", {"teacher": {"train": {"num_steps": 3}}})
    project.write("base", "parameters_baselines", {"baselines": {"qat": {"train": {"num_steps": 2}}}})
    project.register(teacher=stage("teacher"), baselines=stage("qat", "baselines.qat"), evaluation=EVALUATION)
    yield project
    monkeypatch.undo()
    configure_project("crqat_pipeline")
