"""The first validation photographs as the teacher and its 4-bit students see them: the picture of README.

`python benchmarks/photo_gallery.py ../shared/data docs/images/photographs.jpg` after `make photos` (its students are
read). The last column is calibration alone at the widths of conf/photos/widths_npu.yml.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from crqat_pipeline.model_files import rebuild
from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.recipes.detecting import detect_split
from crqat_pipeline.recipes.qat import post_training_quantization
from crqat_pipeline.recipes.specs import EvaluationSpec, PtqSpec, RunSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.recipes.widths_file import read_widths
from crqat_pipeline.reporting.run_report.assembly import gallery
from crqat_pipeline.reporting.run_report.sheets import gallery_sheet

PROJECT = Path(__file__).parents[1]
STUDENTS = {
    "Teacher, full precision": "teacher_checkpoint",
    "PTQ 4-4-8": "ptq_student",
    "QAT": "qat_student",
    "CR-QAT": "stage2_neck_head_student",
    "Vocabulary distillation": "vocabulary_kd_student",
}
ALLOCATED = "Allocated widths, no training"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, default=4)
    given = parser.parse_args()
    bootstrap_project(PROJECT)
    with KedroSession.create(
        project_path=PROJECT, env="photos", runtime_params={"photos": str(given.photos)}
    ) as session:
        context = session.load_context()
        catalog, params = context.catalog, context.params
        calibration, data = catalog.load("calibration_data"), catalog.load("val_benchmark")
        students = {label: catalog.load(entry) for label, entry in STUDENTS.items()}
    evaluation = EvaluationSpec.model_validate(params["evaluation"])
    widths = read_widths(PROJECT / "conf/photos/widths_npu.yml")
    rules = {"weight_initialization": "mse", "activation_initialization": "mse", "widths": widths}
    students[ALLOCATED] = post_training_quantization(
        students["Teacher, full precision"],
        calibration,
        QuantSpec.parse("4-8-8", **rules),
        RunSpec(seed=0, device="cpu"),
        PtqSpec(image_size_px=evaluation.image_size_px),
    )
    with_objects = {box["image_id"] for box in data.annotations["annotations"]}
    rows = [row for row, image in enumerate(data.split.images) if image.id in with_objects][: given.images]
    first = TrainingData(
        data.split.with_images(data.split.images.take(rows)), data.images, data.vocabulary, data.text_bank
    )
    found = {}
    for label, student in students.items():
        with tempfile.TemporaryDirectory() as folder:
            found[label] = detect_split(rebuild(student).detector, first, evaluation, "cpu", label, Path(folder))
    threshold = evaluation.gallery_threshold
    labels = {label: label for label in students}
    shown = gallery(found, labels, data.images, data.annotations, data.vocabulary, given.images, threshold)
    gallery_sheet(shown, threshold).savefig(given.out, dpi=70, pil_kwargs={"quality": 85, "optimize": True})


if __name__ == "__main__":
    main()
