"""From photographs without an LVIS file to the report: `crqat new`, then `crqat_full` in its environment."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from kedro.framework.project import configure_project
from kedro.framework.session import KedroSession

from crqat_pipeline.own_data import OwnDataRequest, make_environment
from crqat_pipeline.recipes.embedding import TextSource
from tests.support.own_photographs import write_photographs

pytestmark = pytest.mark.slow

SHORT = {
    "teacher": {"loader": {"batch_size": 2}, "optimization": {"num_steps": 2, "warmup_steps": 0, "log_every_steps": 1}},
    "int4_export": {"parity_images": 2},
    "evaluation": {"gallery_images": 1, "latency_calls": 1, "alignment_images": 2, "level_images": 0},
}
"""Beside what `crqat new` decides; a test has no time for a teacher."""


@pytest.fixture(scope="module")
def data(project: Path, mlflow_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    shutil.copy(mlflow_template, folder / "mlflow.db")
    shutil.copytree(project / "conf", folder / "conf")
    photos = write_photographs(folder / "photos")
    text = TextSource(embeddings=photos / "words.npy", names=photos / "words.json")
    request = OwnDataRequest(
        "lamps", photos / "images", photos / "train.json", text=text, num_steps=3, image_size_px=64
    )
    made = make_environment(request, folder)
    own = made.folder / "globals.yml"
    own.write_text(own.read_text(encoding="utf-8").replace("data/lamps", str(folder / "data/lamps")), encoding="utf-8")
    configure_project("crqat_pipeline")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        with KedroSession.create(
            project_path=project,
            conf_source=str(folder / "conf"),
            env="lamps",
            runtime_params=SHORT,
            save_on_close=False,
        ) as session:
            session.run(pipeline_names=["crqat_full"])
    return folder / "data/lamps"


def test_every_form_is_scored_by_coco_alone(data: Path) -> None:
    results = json.loads((data / "08_reporting/evaluation/results.json").read_text(encoding="utf-8"))
    assert set(results["crqat"]) == {"coco", "train"}
    assert (results["crqat"]["coco"]["num_images"], results["crqat"]["train"]["num_images"]) == (2, 10)
    assert set(results) >= {"teacher", "finetuned", "ptq", "qat", "crqat", "int4"}


def test_there_is_a_report_and_a_file_for_each_runtime(data: Path) -> None:
    assert "CR-QAT" in (data / "08_reporting/evaluation/report.html").read_text(encoding="utf-8")
    assert (data / "07_model_output/crqat.int4.safetensors").is_file()


def test_the_prompts_are_the_class_names(data: Path) -> None:
    vocabulary = json.loads((data / "03_primary/vocabulary.json").read_text(encoding="utf-8"))
    assert vocabulary["names"] == ["red lamp", "stray cat", "tin can"]
