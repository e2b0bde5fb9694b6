"""`crqat new` in one function: look, choose, write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.export.onnx import OnnxSpec
from crqat_pipeline.export.onnx.requirements import require_onnx
from crqat_pipeline.export.onnx.supported import check_supported
from crqat_pipeline.own_data.detector import ChosenDetector, choose_detector
from crqat_pipeline.own_data.files import MADE_BY, MADE_BY_KEY, check_free, write_annotations, write_environment
from crqat_pipeline.own_data.parameters import catalog, parameters
from crqat_pipeline.own_data.photographs import look
from crqat_pipeline.own_data.prompts import FoundEncoder, find_encoder
from crqat_pipeline.own_data.recipe import ENOUGH_IMAGES, TrainingPlan, plan_training
from crqat_pipeline.own_data.request import OwnDataRequest

FROM_SCRATCH = (
    "Trained from scratch on {num_images} photographs, a teacher recognizes these photographs and hardly any new one: "
    "it shows that everything runs. For figures on new photographs give ready weights (--detector NAME "
    "--weights FILE)"
)


@dataclass(frozen=True)
class NewEnvironment:
    """folder: of conf/. notes: what was found and chosen. missing: what has to be got before it runs."""

    name: str
    folder: Path
    notes: tuple[str, ...]
    missing: tuple[str, ...]


def make_environment(request: OwnDataRequest, project: Path, *, replace: bool = False) -> NewEnvironment:
    """Write conf/<name>, and what the run reads and nobody wrote yet into data/<name>/01_raw.

    Raises ValueError (AnnotationError for faulty records and images) before anything is written.
    """
    folder, data_root = project / "conf" / request.name, Path("data") / request.name
    check_free(folder, replace)
    if not (project / "conf" / "base").is_dir():
        raise ValueError(f"An environment lies in conf/ of the project; there is no conf/base in {project}. Go there.")
    photographs = look(request)
    detector = choose_detector(request.detector, request.weights)
    raw = project / data_root / "01_raw"
    encoder = find_encoder(photographs.names, request.text, detector, raw)
    model = _built(detector, encoder)
    is_ready = detector.weights is not None
    plan = plan_training(photographs, is_ready, model.size_divisor, request.image_size_px, request.num_steps)
    onnx_fault = _onnx_fault(model)
    annotations = raw / "annotations"
    for split, content in (("train", photographs.train), ("val", photographs.val)):
        if split not in photographs.given:
            write_annotations(annotations / f"{split}.json", content)
    contents: Mapping[str, Mapping[str, Any]] = {
        "globals.yml": {
            MADE_BY_KEY: MADE_BY,
            "data_root": data_root.as_posix(),
            "results_root": (data_root / "08_reporting" / "study").as_posix(),
        },
        "catalog.yml": catalog(photographs, annotations),
        "mlflow.yml": {"tracking": {"experiment": {"name": f"crqat-{request.name}"}}},
        "parameters.yml": parameters(photographs, detector, encoder, plan, has_onnx=not onnx_fault),
    }
    write_environment(folder, contents)
    num_images = len(photographs.train["images"])
    notes = [*photographs.notes, f"prompts: {_listed(photographs.names)}", encoder.note, f"detector: {detector.note}"]
    if not is_ready and num_images < ENOUGH_IMAGES:
        notes.append(FROM_SCRATCH.format(num_images=num_images))
    notes += _of_plan(plan, photographs.object_side())
    notes += [f"no ONNX file is written: {onnx_fault}"] if onnx_fault else []
    return NewEnvironment(request.name, folder, tuple(notes), (encoder.missing,) if encoder.missing else ())


def _built(detector: ChosenDetector, encoder: FoundEncoder) -> OpenVocabularyDetector:
    """On the meta device. Raises ValueError where detector and text encoder do not fit."""
    options = detector.options_for(encoder.width)
    with torch.device("meta"):
        model = build_detector(detector.name, **options)
    if encoder.width is not None and model.embedding_dim != encoder.width:
        raise ValueError(
            f"Detector and text encoder agree on the numbers of an embedding; {detector.name} compares "
            f"{model.embedding_dim}, and {encoder.note} gives {encoder.width}. Give the encoder that the weights were "
            "trained with."
        )
    return model


def _onnx_fault(model: OpenVocabularyDetector) -> str:
    try:
        require_onnx()
        check_supported(model, OnnxSpec())
    except ValueError as error:
        return " ".join(str(error).split())
    return ""


def _of_plan(plan: TrainingPlan, object_side: float) -> list[str]:
    smallest = object_side * plan.image_size_px
    lines = [f"input {plan.image_size_px} px: nine of ten objects are at least {smallest:.0f} px there (--image-size)"]
    teacher = f"{plan.teacher_steps} steps of the teacher, " if plan.teacher_steps else ""
    lines.append(f"{teacher}{plan.qat_steps} steps of every method (--steps)")
    return lines


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"{', '.join(names[:12])}{more}"
