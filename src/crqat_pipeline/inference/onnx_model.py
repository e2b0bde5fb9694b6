"""A detector that runs in onnxruntime or OpenVINO.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding, N regions.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crqat_pipeline.detectors.common.selection import SelectionSpec, select_detections
from crqat_pipeline.inference.onnx_session import AUTOMATIC, open_session
from crqat_pipeline.inference.runnable import ModelFacts
from crqat_pipeline.inference.saturation import warn_of_saturation
from crqat_pipeline.structures.output import Detections
from crqat_pipeline.structures.vocabulary import TextBank

HEADER_KEY = "crqat"
FORMAT_VERSION = 1
HIGHEST_SCORE = 1 - 2**-24


class OnnxModel:
    """An exported graph; prompts are an input, unless the vocabulary was folded in."""

    def __init__(self, path: Path, runtime: str = AUTOMATIC, num_threads: int | None = None) -> None:
        """runtime: "onnxruntime", "openvino", or "auto" by form. Raises ValueError for a file that does not open or
        that this project did not export."""
        facts, height = _facts(path)
        bank = _text_bank(facts)
        if facts["wide_layers"] and facts.get("wide_weights") != "uint8":
            warn_of_saturation(path, len(facts["wide_layers"]))
        self._run = open_session(path, runtime, facts["form"], num_threads)
        self._selection = SelectionSpec(nms_iou=facts["nms_iou"])
        self.facts = ModelFacts(
            form=f"ONNX {facts['form']}",
            embedding_dim=facts["embedding_dim"],
            size_divisor_px=facts["size_divisor_px"],
            text_bank=bank,
            text_encoder=facts["extra"].get("text_encoder"),
            image_size_px=height or facts["extra"].get("image_size_px"),
            fixed_prompts=bank.prompts if facts["has_fixed_vocabulary"] and bank is not None else None,
        )

    def detect(
        self, images_B3HW: Tensor, text_KD: Tensor, *, score_threshold: float, max_detections: int
    ) -> list[Detections]:
        feeds = {"images": images_B3HW.numpy()}
        if self.facts.fixed_prompts is None:
            feeds["text_embeddings"] = text_KD.float().numpy()
        boxes_BN4, scores_BNK = map(torch.from_numpy, self._run(["boxes", "scores"], feeds))
        logits_BNK = scores_BNK.clamp(max=HIGHEST_SCORE).logit()
        return [
            select_detections(logits_NK, boxes_N4, score_threshold, max_detections, self._selection)
            for logits_NK, boxes_N4 in zip(logits_BNK, boxes_BN4, strict=True)
        ]


def _facts(path: Path) -> tuple[dict[str, Any], int]:
    """The metadata of a file, and the height of its input in pixels, 0 where it is free."""
    try:
        import onnx
    except ImportError as error:
        raise ValueError("ONNX models need onnx and onnxruntime: pip install 'crqat-pipeline[onnx]'.") from error
    if path.stat().st_size == 0:
        raise ValueError(
            f"{path} is empty: ONNX export was off (int4_export.onnx: null). Export it with form auto, or use the "
            "packed int4 file."
        )
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's own class, or whatever a damaged file provokes
        raise ValueError(f"{path} is not a whole ONNX model: {error}. Copy or export it again.") from error
    stored = {entry.key: entry.value for entry in model.metadata_props}.get(HEADER_KEY)
    if stored is None:
        raise ValueError(f"{path} is an ONNX model of another program: it lacks the {HEADER_KEY!r} metadata.")
    facts: dict[str, Any] = json.loads(stored)
    if not 1 <= facts["format_version"] <= FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {facts['format_version']}; this program reads 1 to {FORMAT_VERSION}. "
            "Update crqat-pipeline, or export the model again with it."
        )
    return facts, model.graph.input[0].type.tensor_type.shape.dim[2].dim_value


def _text_bank(facts: dict[str, Any]) -> TextBank | None:
    stored = facts.get("text_bank")
    if stored is None:
        return None
    flat = np.frombuffer(base64.b64decode(stored["embeddings"]), dtype="<f4").copy()
    embeddings_KD = torch.from_numpy(flat).reshape(len(stored["prompts"]), facts["embedding_dim"])
    return TextBank(tuple(stored["prompts"]), embeddings_KD, stored["encoder"], stored["is_normalized"])
