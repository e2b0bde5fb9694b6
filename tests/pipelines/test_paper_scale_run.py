"""`crqat_full` in the environment yolo_world_l, on tiny files in the published layouts and with the small detector.

Everything between the files and the report is real, and no number means anything.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from kedro.framework.project import configure_project
from kedro.framework.session import KedroSession

from crqat_pipeline.catalog_io.checkpoint import SafetensorsCheckpoint
from crqat_pipeline.catalog_io.prepared_split import PreparedSplitDataset
from crqat_pipeline.catalog_io.text_bank import TextBankDataset
from tests.support.published_layouts import write_datasets

pytestmark = pytest.mark.slow

LOADER = {"image_size_px": 64, "batch_size": 2, "num_workers": 0, "num_prompts": 6}
OPTIMIZATION = {"accumulation_steps": 2, "log_every_steps": 1}
STAGE = {"train": {"loader": LOADER, "optimization": OPTIMIZATION}}


def small(datasets: Path) -> dict:
    """What makes the environment small; data, epochs, prompts, augmentation and protocols stay as they are."""
    return {
        "datasets": str(datasets),
        "detector": {"name": "yolo_world_open_shapes"},
        "data_prep": {"text_encoder": "open_shapes", "qat_prompts": {"text_encoder": "open_shapes"}},
        "teacher": {
            "weights": None,
            "loader": {"image_size_px": 64, "batch_size": 2},
            "optimization": {"num_steps": 2, "warmup_steps": 0, "log_every_steps": 1},
        },
        "baselines": {"ptq": {"image_size_px": 64}, "qat": STAGE, "finetuned": STAGE},
        "stage1_backbone": STAGE,
        "stage2_neck_head": STAGE,
        "int4_export": {"image_size_px": 64, "parity_images": 2},
        "evaluation": {"image_size_px": 64, "batch_size": 2, "processes": 1, "alignment_images": 2, "latency_calls": 1},
    }


@pytest.fixture(scope="module")
def data(project, mlflow_template, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("paper_scale")
    shutil.copy(mlflow_template, folder / "mlflow.db")
    shutil.copytree(project / "conf", folder / "conf")
    own = folder / "conf" / "yolo_world_l" / "globals.yml"
    text = own.read_text(encoding="utf-8").replace("data_root: data/yolo_world_l", f"data_root: {folder / 'data'}")
    own.write_text(text, encoding="utf-8")
    datasets = write_datasets(folder / "datasets")
    configure_project("crqat_pipeline")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        with KedroSession.create(
            project_path=project,
            conf_source=str(folder / "conf"),
            env="yolo_world_l",
            runtime_params=small(datasets),
            save_on_close=False,
        ) as session:
            session.run(pipeline_names=["crqat_full"])
    return folder / "data"


def test_both_sources_are_counted_in_the_report(data):
    report = json.loads((data / "02_intermediate/data_report.json").read_text())
    assert {name: one["images"] for name, one in report["qat"]["sources"].items()} == {"objects365": 8, "gqa": 4}
    assert report["qat"]["num_crowd_boxes"] == 1


def test_the_stages_share_one_epoch_of_a_shuffled_mixture(data):
    images = PreparedSplitDataset(filepath=str(data / "03_primary/qat_set.parquet")).load().images
    assert len(images) == 12
    assert {image.file_name.split("/")[0] for image in images[:4]} == {"objects365", "gqa"}
    steps = {
        stage: SafetensorsCheckpoint(filepath=str(data / "06_models" / path)).load().metadata["num_steps"]
        for stage, path in {
            "stage1": "stage1_backbone/student.safetensors",
            "stage2": "stage2_neck_head/student.safetensors",
            "qat": "baselines/qat_student.safetensors",
        }.items()
    }
    assert steps == {"stage1": 1, "stage2": 2, "qat": 3}  # 4, 8 and 12 images by 2 batches of 2


def test_calibration_asks_about_its_own_phrases(data):
    split = PreparedSplitDataset(filepath=str(data / "03_primary/calibration_set.parquet")).load()
    asked = {category.id for category in split.categories}
    assert asked == {number for image in split.images for number in image.category_ids}


def test_the_bank_holds_phrases_synonyms_and_padding(data):
    bank = TextBankDataset(filepath=str(data / "05_model_input/qat_text_bank.safetensors")).load()
    assert {"blue square", "ring", ""} <= set(bank.prompts)
    assert list((data / "02_intermediate/text_cache").glob("*.safetensors"))


def test_losses_of_every_stage_are_finite(data):
    for stage in ("qat", "stage1_backbone", "stage2_neck_head"):
        history = pd.read_csv(data / f"08_reporting/{stage}/history.csv")
        assert history.notna().all().all(), stage
    assert {"pkd", "trkd"} <= set(history.columns)


def test_coco_and_fixed_lvis_figures_are_measured_on_their_own_images(data):
    results = json.loads((data / "08_reporting/evaluation/results.json").read_text())
    assert results["crqat"]["lvis"]["protocol"] == "lvis-fixed"
    assert (results["crqat"]["coco"]["num_images"], results["crqat"]["lvis"]["num_images"]) == (3, 2)
