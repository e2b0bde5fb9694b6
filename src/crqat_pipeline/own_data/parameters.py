"""The files of the new environment, as plain data: what conf/base says otherwise is left to conf/base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crqat_pipeline.own_data.detector import ChosenDetector
from crqat_pipeline.own_data.photographs import Photographs
from crqat_pipeline.own_data.prompts import FoundEncoder
from crqat_pipeline.own_data.recipe import QAT_BATCH, TEACHER_BATCH, TrainingPlan

ENCODER = "words"
"""Name of the text encoder among data_prep.text_encoders."""
NUM_PROMPTS = 80
TEACHER_RATE = 2.0e-3
VOCABULARY_KD = {
    "label": "Vocabulary distillation",
    "checkpoint": "vocabulary_kd_student",
    "history": "vocabulary_kd_history",
    "layers": "vocabulary_kd_layers",
    "roles": ["gallery"],
}
"""The label-free method: it goes further than labels where photographs are few (docs/how_to/run_on_photographs.md)."""


def parameters(
    photographs: Photographs, detector: ChosenDetector, encoder: FoundEncoder, plan: TrainingPlan, has_onnx: bool
) -> dict[str, Any]:
    """parameters.yml."""
    size = {"image_size_px": plan.image_size_px}
    num_prompts = min(NUM_PROMPTS, len(photographs.names))
    options = detector.options_for(encoder.width)
    trained: dict[str, Any] = {"loader": {**size, "batch_size": TEACHER_BATCH, "num_prompts": num_prompts}}
    trained["optimization"] = {"num_steps": plan.teacher_steps, "learning_rate": TEACHER_RATE}
    evaluation: dict[str, Any] = {**size, "batch_size": 16, "on_training_images": plan.on_training_images}
    if detector.weights is not None:
        evaluation["forms"] = {"vocabulary_kd": VOCABULARY_KD}
    return {
        "fetch_data": {"source": "files", "open_shapes": None},
        "data_prep": {
            "calibration_images": plan.calibration_images,
            "text_encoder": ENCODER,
            "text_encoders": {ENCODER: encoder.spec.model_dump(mode="json", exclude_none=True)},
        },
        "detector": {"name": detector.name, "options": options},
        "teacher": trained if detector.weights is None else {"weights": _place(detector.weights), "loader": size},
        **_training(plan, {**size, "batch_size": QAT_BATCH, "num_prompts": num_prompts}),
        "int4_export": {
            **size,
            "parity_images": min(32, plan.calibration_images),
            **({} if has_onnx else {"onnx": None}),
        },
        "evaluation": evaluation,
    }


def _training(plan: TrainingPlan, loader: dict[str, Any]) -> dict[str, Any]:
    """What is compared trains on the curriculum's terms; plain QAT and the control at a rate of their own."""
    plain = {"train": {"optimization": {"learning_rate": plan.plain_rate}}}
    optimization = {"num_steps": plan.qat_steps, "learning_rate": plan.curriculum_rate}
    return {
        "curriculum": {"train": {"loader": loader, "optimization": optimization}},
        "baselines": {"ptq": {"image_size_px": plan.image_size_px}, "qat": plain, "finetuned": plain},
        "vocabulary_kd": {"train": {"prompt_split": None}},
    }


def catalog(photographs: Photographs, data_folder: Path) -> dict[str, Any]:
    """catalog.yml: every file that is read; QAT sees the training photographs."""
    files = {split: photographs.given.get(split, data_folder / f"{split}.json") for split in ("train", "val")}
    entries: dict[str, Any] = {}
    for split, source in (("train", "train"), ("qat", "train"), ("val", "val")):
        images = photographs.train_images if source == "train" else photographs.val_images
        entries[f"{split}_images"] = {"given": True, "filepath": _place(images)}
        entries[f"{split}_annotations"] = {"given": True, "filepath": _place(files[source])}
    lvis = None if photographs.lvis is None else _place(photographs.lvis)
    entries["val_annotations_lvis"] = {"given": True, "optional": True, "filepath": lvis}
    return entries


def _place(path: str | Path) -> str:
    """Absolute, so that the run finds it from anywhere; addresses stay."""
    return str(path) if "://" in str(path) else Path(path).absolute().as_posix()
