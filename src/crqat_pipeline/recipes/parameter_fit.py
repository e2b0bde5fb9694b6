"""Parameters that are each valid and do not fit one another, or this machine: found before the first node."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch

from crqat_pipeline.curriculum.plan import PAPERS_PLAN, PLANS, windows
from crqat_pipeline.detectors import build_detector
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.export.onnx.spec import OnnxSpec
from crqat_pipeline.export.onnx.supported import check_supported
from crqat_pipeline.quantization import QuantSpec, prepare
from crqat_pipeline.recipes.specs import DataPrepSpec, NamedBuilderSpec, RunSpec
from crqat_pipeline.runtime.device import choose_device
from crqat_pipeline.runtime.nested import value_at
from crqat_pipeline.text_encoders.embedding_file import shape_of
from crqat_pipeline.text_encoders.table import ComposedSpec, PrecomputedSpec, TextEncoderSpec

SIZE_KEY = "image_size_px"
CURRICULUM, TRAIN = "curriculum", ".train."


def misfits(parameters: Mapping[str, Any], used: Collection[str]) -> Iterator[str]:
    """One line per fault, under its dotted path. parameters: valid ones; used: sections that this run asks for.

    The detector is built without values (on the meta device).
    """
    if "run" in used:
        try:
            choose_device(RunSpec.model_validate(parameters["run"]).device)
        except ValueError as error:
            yield f"run.device: {error}"
    if "detector" not in parameters or not {"detector", "data_prep"} & set(used):
        return
    row = NamedBuilderSpec.model_validate(parameters["detector"])
    try:
        with torch.device("meta"):
            detector = build_detector(row.name, **row.options)
    except ValueError as error:
        if "detector" in used:
            yield f"detector: {' '.join(str(error).split())}"
        return
    if {"detector", "curriculum"} <= set(used):
        try:
            windows(PLANS[parameters["curriculum"].get("plan", PAPERS_PLAN)], tuple(detector.parts))
        except ValueError as error:
            yield f"curriculum.plan: {error}"
    if "data_prep" in used:
        yield from _widths(DataPrepSpec.model_validate(parameters["data_prep"]), row.name, detector)
    if {"detector", "quantization"} <= set(used):
        try:
            prepare(detector, QuantSpec.model_validate(parameters["quantization"]))
        except ValueError as error:
            yield f"quantization: {error}"
    if {"detector", "int4_export"} <= set(used) and (parameters.get("int4_export") or {}).get("onnx") is not None:
        try:
            check_supported(detector, OnnxSpec.model_validate(parameters["int4_export"]["onnx"]))
        except ValueError as error:
            yield f"int4_export.onnx: {error}"
    sections = {section: value_at(parameters, section.split(".")) for section in sorted(used)}
    yield from _wrong_sides(sections, row.name, detector.size_divisor)


def _wrong_sides(sections: Mapping[str, Any], name: str, divisor: int) -> Iterator[str]:
    """Every image_size_px, wherever it stands, is a multiple of the detector's size divisor.

    A side that the stages have from the curriculum is told once, there.
    """
    found = {path: side for path, side in _sides(sections) if side % divisor}
    for path, side in found.items():
        section, _, within = path.partition(TRAIN)
        if section != CURRICULUM and within and found.get(f"{CURRICULUM}{TRAIN}{within}") == side:
            continue
        yield (
            f"{path}: sides of images are multiples of {divisor} px for {name}; got {side}. Use "
            f"{max(1, round(side / divisor)) * divisor}."
        )


def _sides(sections: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, int]]:
    for key, value in sections.items():
        if isinstance(value, Mapping):
            yield from _sides(value, f"{path}{key}.")
        elif key == SIZE_KEY and isinstance(value, int):
            yield f"{path}{key}", value


def _widths(spec: DataPrepSpec, name: str, detector: OpenVocabularyDetector) -> Iterator[str]:
    asked = [spec.text_encoder, spec.lvis_text_encoder, spec.qat_prompts.text_encoder if spec.qat_prompts else None]
    for encoder in dict.fromkeys(each for each in asked if each):
        width = _width(spec.text_encoders[encoder])
        if width is not None and width != detector.embedding_dim:
            yield (
                f"data_prep.text_encoders.{encoder}: its embeddings have {width} numbers, and the detector {name} "
                f"compares {detector.embedding_dim}. Change detector.options.embedding_dim or the encoder."
            )


def _width(spec: TextEncoderSpec) -> int | None:
    """Numbers per prompt; None where only reading the whole encoder would tell, or the file cannot be read."""
    if isinstance(spec, ComposedSpec):
        return spec.embedding_dim
    if not isinstance(spec, PrecomputedSpec):
        return None
    try:
        shape = shape_of(spec.embeddings)
    except Exception:  # NumPy raises anything over a damaged header; data_prep says what is wrong
        return None
    return shape[1] if len(shape) == 2 else None
