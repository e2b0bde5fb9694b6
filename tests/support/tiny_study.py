"""A study small enough for tests: a few 64 px scenes of the embedded benchmark, an untrained teacher, five methods."""

from pathlib import Path
from typing import Any

import pandas as pd

from crqat_pipeline.detection_data.annotated_vocabulary import vocabulary_from_annotations
from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.image_writer import write_images
from crqat_pipeline.detection_data.open_shapes import OpenShapesSpec, draw_layout
from crqat_pipeline.detection_data.prepared_split import prepare_split
from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.recipes.evaluation_run import truth
from crqat_pipeline.recipes.specs import EvaluationSpec, NamedBuilderSpec, TeacherSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.study.problem import ScoredData, StudyProblem
from crqat_pipeline.study.spec import StudySpec
from crqat_pipeline.text_encoders.composed import ComposedTextEncoder
from crqat_pipeline.text_encoders.vocabulary_bank import bank_of_names

LOADER = {"image_size_px": 64, "batch_size": 4, "num_prompts": 6}
STUDY: dict[str, Any] = {
    "about": "Tiny scenes.",
    "seeds": [0, 1],
    "tuning_seeds": [2],
    "learning_rates": [1e-4, 1e-3],
    "tuning_images": 4,
    "processes": 1,
    "loader": LOADER,
    "optimization": {"num_steps": 3, "learning_rate": 1e-4, "max_gradient_norm": 10.0},
    "methods": {
        "qat": {"label": "QAT (LSQ)", "reference": None},
        "ptq_omse": {"label": "PTQ OMSE", "ptq_rule": "mse"},
        "crqat": {
            "label": "CR-QAT",
            "plan": "two_stage",
            "distillation": {"pkd": {"weight": 6.0}, "trkd": {"weight": 6.0}},
        },
    },
    "pareto": {"methods": ["qat", "crqat"], "prompts": [6]},
    "tables": [{"title": "Main table", "note": "Everything.", "methods": ["ptq_omse", "qat", "crqat"]}],
}


def study_spec(**changes: Any) -> StudySpec:
    """STUDY with some fields replaced."""
    return StudySpec.model_validate(STUDY | changes)


def study_problem(folder: Path, *, renders: bool = True) -> StudyProblem:
    """The data of STUDY; images are written below `folder` unless renders=False."""
    spec = OpenShapesSpec(
        num_train_images=16,
        num_val_images=6,
        num_tune_images=4,
        num_qat_images=12,
        image_size_px=64,
        max_object_px=40,
    )
    layout = draw_layout(spec)
    vocabulary = vocabulary_from_annotations(layout.annotations["val"])
    words = sorted({word for name in vocabulary.names for word in name.split()})
    bank = bank_of_names(ComposedTextEncoder(words, 64, 0), vocabulary)

    def data(name: str, **options: Any) -> TrainingData:
        if renders:
            rendered = layout.rendered(name)
            write_images(folder / name, rendered.names, rendered.render, 1, fingerprint=rendered.fingerprint)
        split = prepare_split(layout.annotations[name], **options)
        return TrainingData(split, ImageFolder(folder / name), vocabulary, bank)

    def truths(name: str) -> dict[str, Any]:
        return {
            "coco": truth(layout.annotations[name], vocabulary),
            "lvis": truth(layout.annotations_lvis[name], vocabulary),
        }

    qat = data("qat", category_ids={box["category_id"] for box in layout.annotations["qat"]["annotations"]})
    loader = STUDY["loader"]
    return StudyProblem(
        detector=NamedBuilderSpec(name="yolo_world_open_shapes"),
        teacher=TeacherSpec(loader=loader, optimization={"num_steps": 2, "learning_rate": 1e-3}),
        quantization=QuantSpec.parse("4-4-8", weight_initialization="minmax", activation_initialization="minmax"),
        evaluation=EvaluationSpec(
            image_size_px=64, batch_size=6, max_detections=20, backend="fast", alignment_images=4
        ),
        device="cpu",
        train=data("train"),
        qat=qat,
        tuning_qat=qat,
        calibration=qat,
        tuning=ScoredData(data("tune", keep_images_without_boxes=True), {"coco": truths("tune")["coco"]}),
        final=ScoredData(data("val", keep_images_without_boxes=True), truths("val")),
    )


def cells_frame() -> pd.DataFrame:
    """Hand-made cells of STUDY: crqat is 2, 3 and 1 points above qat in AP, and above or below it in AP_novel."""
    rows: list[dict[str, Any]] = []
    base = {"phase": "final", "failed": "", "region_text_mae": 0.2, "region_region_mae": 0.1, "seconds": 12.0}
    for method, rate in (("qat", 1e-4), ("crqat", 1e-3), ("ptq_omse", 0.0)):
        for seed, above in enumerate((0.02, 0.03, 0.01)):
            plus = above if method == "crqat" else -0.1 if method == "ptq_omse" else 0.0
            precision = 0.5 + 0.01 * seed + plus
            novel = 0.4 + (0.01 * (-1) ** seed if method == "crqat" else 0.0)
            rows.append(
                base
                | {"method": method, "seed": seed, "learning_rate": rate, "AP": precision, "AP_qat": 0.6}
                | {"AP_unseen": precision + 0.1, "AP_novel": novel}
                | {"lvis_AP": 0.3, "lvis_APr": 0.1, "lvis_APc": 0.2, "lvis_APf": 0.4}
            )
    for method, at_low, at_high in (("qat", 0.4, 0.3), ("crqat", 0.35, 0.45)):
        for rate, value in ((1e-4, at_low), (1e-3, at_high)):
            rows.append(
                {"method": method, "phase": "tuning", "seed": 5, "learning_rate": rate, "failed": "", "AP": value}
            )
    return pd.DataFrame(rows)
