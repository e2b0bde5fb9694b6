"""One full-precision checkpoint at several widths by calibration alone, scored on annotated photographs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crqat_pipeline.detection_data.annotated_vocabulary import vocabulary_from_annotations
from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.prepared_split import prepare_split
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.inference.prompt_resolver import rows_by_text
from crqat_pipeline.quantization import QuantSpec
from crqat_pipeline.quantization.cost import cost
from crqat_pipeline.recipes.detecting import detect_split
from crqat_pipeline.recipes.evaluation_run import evaluate_tables, truth
from crqat_pipeline.recipes.file_quantization import QuantizationRequest, open_for_quantization, quantized
from crqat_pipeline.recipes.specs import EvaluationSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.structures.vocabulary import TextBank, Vocabulary

FULL_PRECISION = "full precision"
FIGURES = ("AP", "AP50")


@dataclass(frozen=True)
class WidthFigures:
    """bits: as they were asked for. AP and AP50 in [0, 1] by COCO's protocol; size and bit operations of an image."""

    bits: str
    ap: float
    ap50: float
    size_mb: float
    bops_t: float


def sweep(
    request: QuantizationRequest, bits: Sequence[str], annotations: Mapping[str, Any], images: ImageFolder
) -> Iterator[WidthFigures]:
    """Full precision first, then each of `bits` as it is done. Nothing is written.

    request: as for one of them; its quantization says what they have in common. annotations: checked ones of `images`.
    Raises ValueError for bits that are none, and for class names that the model has no embedding of.
    """
    specs = {one: _with_bits(request.quantization, one) for one in bits}
    teacher = open_for_quantization(request.model, request.bank, request.image_size_px)
    vocabulary = vocabulary_from_annotations(annotations)
    bank = _bank_of(vocabulary, teacher.bank)
    split = prepare_split(annotations, keep_images_without_boxes=True)
    data = TrainingData(split, images, vocabulary, bank)
    spec = EvaluationSpec(image_size_px=teacher.image_size_px, batch_size=8, backend="fast")
    yield _scored(FULL_PRECISION, teacher.rebuilt.detector, data, annotations, spec)
    for one, quantization in specs.items():
        again = open_for_quantization(request.model, request.bank, request.image_size_px)
        yield _scored(one, quantized(replace(request, quantization=quantization), again), data, annotations, spec)


def _with_bits(quantization: QuantSpec, bits: str) -> QuantSpec:
    parsed = QuantSpec.parse(bits)
    fields = {name: getattr(parsed, name) for name in ("weight_bits", "activation_bits", "attention_bits")}
    return QuantSpec.model_validate(quantization.model_dump() | fields)


def _bank_of(vocabulary: Vocabulary, bank: TextBank) -> TextBank:
    """A row per category, from the bank at hand."""
    rows = rows_by_text(bank)
    keys = [name.strip().lower() for name in vocabulary.names]
    missing = [name for name, key in zip(vocabulary.names, keys, strict=True) if key not in rows]
    if missing:
        raise ValueError(
            f"The annotations name classes that the prompts at hand do not: {', '.join(map(repr, missing[:8]))}. Give "
            "a text bank that has them: --vocabulary FILE, made by crqat embed."
        )
    chosen = [rows[key] for key in keys]
    return TextBank(vocabulary.names, bank.embeddings_KD[chosen].float(), bank.encoder, bank.is_normalized)


def _scored(
    name: str,
    detector: OpenVocabularyDetector,
    data: TrainingData,
    annotations: Mapping[str, Any],
    spec: EvaluationSpec,
) -> WidthFigures:
    with tempfile.TemporaryDirectory() as folder:
        table = detect_split(detector, data, spec, "auto", name, Path(folder))
    truths = {"coco": truth(annotations, data.vocabulary)}
    metrics = evaluate_tables({f"coco/{name}": table}, truths, spec)[name]["coco"].metrics
    report = cost(detector.cpu(), None, spec.image_size_px, len(data.vocabulary))
    return WidthFigures(name, metrics["AP"], metrics["AP50"], report.size_mb, report.bops_t)
