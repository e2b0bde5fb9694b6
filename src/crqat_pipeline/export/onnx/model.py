"""A detector as an ONNX model: inputs, outputs, metadata around what the emitters write.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding, N regions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.export.onnx.emission import Emission
from crqat_pipeline.export.onnx.fitting_form import chosen_form
from crqat_pipeline.export.onnx.form_table import FORMS, Form
from crqat_pipeline.export.onnx.graph import IMAGES, OnnxGraph
from crqat_pipeline.export.onnx.spec import OnnxSpec
from crqat_pipeline.export.onnx.supported import has_emitters
from crqat_pipeline.export.onnx.suppression import add_nms
from crqat_pipeline.export.onnx.table import EMITTERS
from crqat_pipeline.export.onnx.top_regions import add_top_regions
from crqat_pipeline.export.onnx.traced.detector import traced_detector
from crqat_pipeline.export.onnx.traced.tracing import Sizes
from crqat_pipeline.model_files.headers import ExporterFacts
from crqat_pipeline.model_files.onnx_facts import METADATA_KEY, OnnxFacts, bank_facts
from crqat_pipeline.runtime.lookup import look_up
from crqat_pipeline.structures.vocabulary import TextBank

if TYPE_CHECKING:
    from onnx import ModelProto


def build_onnx(
    detector: OpenVocabularyDetector,
    spec: OnnxSpec,
    text_bank: TextBank | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> ModelProto:
    """The checked model. Inputs: images (B, 3, H, W) float32 RGB in [0, 1] and text_embeddings (K, D) float32.

    Outputs: boxes (B, N, 4) pixel xyxy, scores (B, N, K) in [0, 1], embeddings (B, N, D); with suppression in the graph
    also detection_images, detection_labels, detection_scores (M,) and detection_boxes (M, 4), best first; with the best
    regions also top_labels, top_scores (B, T) and top_boxes (B, T, 4). Weights come
    from the stored integers of the quantizers that are switched on. A detector without emitters is traced. Raises
    ValueError for a block or operator that nobody writes, a size that does not fit, or a fixed vocabulary without a
    text bank.
    """
    form_name = chosen_form(detector, spec.form)
    form = look_up(FORMS, form_name, "ONNX form")
    if spec.opset is not None and spec.opset < form.least_opset:
        raise ValueError(
            f"The form {form_name!r} needs opset {form.least_opset} or newer for its types; got {spec.opset}. Leave it "
            "out, or take another form."
        )
    return build_graph(detector, spec, form_name, form, text_bank, metadata).model


class BuiltGraph(NamedTuple):
    """The checked model, and what its emission says of its tensors."""

    model: ModelProto
    emission: Emission


def build_graph(
    detector: OpenVocabularyDetector,
    spec: OnnxSpec,
    form_name: str,
    form: Form,
    text_bank: TextBank | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> BuiltGraph:
    """`build_onnx` in a form that is told, whatever spec.form says."""
    from onnx import TensorProto

    _check(detector, spec, text_bank)
    graph = OnnxGraph(spec.opset or form.opset)
    batch = spec.batch_size or "batch"
    height, width = spec.image_size_px or ("height", "width")
    images = graph.input(IMAGES, (batch, 3, height, width), TensorProto.FLOAT)
    num_prompts: int | str = "prompts"
    if spec.has_fixed_vocabulary:
        assert text_bank is not None
        num_prompts = len(text_bank.prompts)
        text = graph.constant(text_bank.embeddings_KD.float(), "text_embeddings")
    else:
        text = graph.input("text_embeddings", (num_prompts, detector.embedding_dim), TensorProto.FLOAT)
    emission = Emission(
        graph,
        form,
        detector,
        EMITTERS,
        wants_embeddings=spec.has_embeddings,
        has_unsigned_weights=spec.has_unsigned_weights,
    )
    if has_emitters(detector):
        tensors = emission.emit(detector.eval(), images, text)
    else:
        num_fixed = len(text_bank.prompts) if spec.has_fixed_vocabulary and text_bank else None
        sizes = Sizes(spec.batch_size, spec.image_size_px, num_fixed)
        tensors = traced_detector(emission, detector.eval(), images, text, sizes)
    scores = graph.node("Sigmoid", tensors.class_logits, name="scores")
    graph.output(tensors.boxes, "boxes", (batch, "regions", 4), TensorProto.FLOAT)
    graph.output(scores, "scores", (batch, "regions", num_prompts), TensorProto.FLOAT)
    if spec.nms_max_detections is not None:
        iou = spec.nms_iou or detector.selection.nms_iou
        if iou is None:
            raise ValueError(
                f"{type(detector).__name__} suppresses nothing; got nms_max_detections={spec.nms_max_detections}. "
                "Leave it out, or give nms_iou as well."
            )
        add_nms(graph, tensors.boxes, scores, iou, spec.score_threshold, spec.nms_max_detections)
    if spec.top_regions is not None:
        add_top_regions(graph, tensors.boxes, scores, spec.top_regions, batch)
    if spec.has_embeddings:
        length: int | str = detector.embedding_dim if has_emitters(detector) else "length"
        graph.output(tensors.region_embeddings, "embeddings", (batch, "regions", length), TensorProto.FLOAT)
    facts = OnnxFacts(
        form=form_name,
        embedding_dim=detector.embedding_dim,
        size_divisor_px=detector.size_divisor,
        has_fixed_vocabulary=spec.has_fixed_vocabulary,
        score_threshold=spec.score_threshold,
        nms_iou=spec.nms_iou or detector.selection.nms_iou,
        max_candidates=detector.selection.max_candidates,
        images="float32 RGB in [0, 1], (B, 3, H, W), letterboxed with grey 114",
        boxes="pixel xyxy of the input image",
        text_bank=bank_facts(text_bank) if text_bank is not None and spec.has_text_bank else None,
        taps={name: (tap.tensor, tap.kind) for name, tap in emission.taps.items()},
        wide_layers=tuple(emission.wide_layers),
        wide_weights="uint8" if spec.has_unsigned_weights else None,
        extra=ExporterFacts.model_validate(dict(metadata or {})),
    )
    return BuiltGraph(graph.model("crqat_detector", {METADATA_KEY: facts.to_json()}), emission)


def _check(detector: OpenVocabularyDetector, spec: OnnxSpec, text_bank: TextBank | None) -> None:
    if spec.has_fixed_vocabulary and not spec.has_text_bank:
        raise ValueError("A fixed vocabulary needs its names in the file; got has_text_bank=false. Leave it out.")
    if spec.has_fixed_vocabulary and text_bank is None:
        raise ValueError("A fixed vocabulary needs its text bank; got none. Pass text_bank, or keep text as an input.")
    if text_bank is not None and text_bank.embeddings_KD.shape[1] != detector.embedding_dim:
        raise ValueError(
            f"This detector compares with embeddings of {detector.embedding_dim} numbers; the text bank has "
            f"{text_bank.embeddings_KD.shape[1]}. Encode the prompts with the detector's own text encoder."
        )
    if spec.image_size_px and any(side % detector.size_divisor for side in spec.image_size_px):
        raise ValueError(
            f"Image sides must be multiples of {detector.size_divisor} px; got {spec.image_size_px}. Round them up."
        )
