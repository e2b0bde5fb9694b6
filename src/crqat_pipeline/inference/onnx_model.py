"""A detector that runs in onnxruntime or OpenVINO.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding, N regions.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from crqat_pipeline.detection_data.rectangle import InputSize
from crqat_pipeline.detectors.common.selection import SelectionSpec, select_detections
from crqat_pipeline.export.onnx.form_table import FORMS
from crqat_pipeline.export.onnx.graph import IMAGES
from crqat_pipeline.export.onnx.runtime import runtime_for
from crqat_pipeline.export.onnx.saturation import needs_raising, raise_weights
from crqat_pipeline.export.onnx.stored_facts import facts_in
from crqat_pipeline.inference.onnx_graph import check_graph
from crqat_pipeline.inference.onnx_session import AUTOMATIC, open_session
from crqat_pipeline.inference.runnable import ModelFacts, check_answer
from crqat_pipeline.inference.runtime_fit import warn_of_runtime
from crqat_pipeline.model_files.onnx_facts import OnnxFacts, verify
from crqat_pipeline.runtime.lookup import look_up
from crqat_pipeline.structures.output import Detections

HIGHEST_SCORE = 1 - 2**-24


class OnnxModel:
    """An exported graph; prompts are an input, unless the vocabulary was folded in."""

    def __init__(self, path: Path, runtime: str = AUTOMATIC, num_threads: int | None = None) -> None:
        """runtime: "onnxruntime", "openvino", or "auto" by form. Raises ValueError for a file that does not open or
        that this project did not export."""
        facts, fixed_px = _facts(path)
        bank = facts.bank
        runtime = runtime_for(facts.form) if runtime == AUTOMATIC else runtime
        warn_of_runtime(path, facts, runtime)
        self._run = open_session(path, runtime, facts.form, num_threads, _raised(path, facts))
        self._selection = SelectionSpec(max_candidates=facts.max_candidates, nms_iou=facts.nms_iou)
        self.facts = ModelFacts(
            form=f"ONNX {facts.form}",
            embedding_dim=facts.embedding_dim,
            size_divisor_px=facts.size_divisor_px,
            text_bank=bank,
            text_encoder=facts.extra.encoder_row,
            image_size_px=fixed_px or facts.extra.image_size_px,
            fixed_prompts=bank.prompts if facts.has_fixed_vocabulary and bank is not None else None,
        )

    def detect(
        self, images_B3HW: Tensor, text_KD: Tensor, *, score_threshold: float, max_detections: int
    ) -> list[Detections]:
        feeds = {"images": images_B3HW.numpy()}
        if self.facts.fixed_prompts is None:
            feeds["text_embeddings"] = text_KD.float().numpy()
        boxes_BN4, scores_BNK = map(torch.from_numpy, self._run(["boxes", "scores"], feeds))
        check_answer(scores_BNK, boxes_BN4)
        logits_BNK = to_logits(scores_BNK)
        return [
            select_detections(logits_NK, boxes_N4, score_threshold, max_detections, self._selection)
            for logits_NK, boxes_N4 in zip(logits_BNK, boxes_BN4, strict=True)
        ]


def to_logits(scores: Tensor) -> Tensor:
    """Finite from above: a graph's score may have been rounded to 1."""
    return scores.clamp(max=HIGHEST_SCORE).logit()


def _raised(path: Path, facts: OnnxFacts) -> bytes | None:
    """The graph with unsigned weights, on CPUs where the signed ones of the file would be wrong."""
    if not needs_raising(facts):
        return None
    import onnx

    model = onnx.load(path)
    raise_weights(model, facts.wide_layers)
    content: bytes = model.SerializeToString()
    return content


def _facts(path: Path) -> tuple[OnnxFacts, InputSize | None]:
    """The metadata of a file, and the size of its input in pixels, None where it is free."""
    try:
        import onnx
    except ImportError as error:
        raise ValueError("ONNX models need onnx and onnxruntime: pip install 'crqat-pipeline[onnx]'.") from error
    content = path.read_bytes()
    if not content:
        raise ValueError(
            f"{path} is empty: ONNX export was off (int4_export.onnx: null). Export it with form auto, or use the "
            "packed int4 file."
        )
    try:
        model = onnx.ModelProto.FromString(content)
    except Exception as error:  # protobuf's own class, or whatever a damaged file provokes
        raise ValueError(f"{path} is not a whole ONNX model: {error}. Copy or export it again.") from error
    facts = facts_in(model, path)
    verify(content, facts, path)
    look_up(FORMS, facts.form, "ONNX form")
    check_graph(model, has_text_input=not facts.has_fixed_vocabulary, path=path)
    axes = next(each for each in model.graph.input if each.name == IMAGES).type.tensor_type.shape.dim
    height, width = axes[2].dim_value, axes[3].dim_value
    if not (height and width):
        return facts, None
    return facts, height if height == width else (height, width)
