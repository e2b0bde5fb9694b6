"""A detector that runs in onnxruntime.

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

from crqat_pipeline.detectors.yolo_world.selection import select_detections
from crqat_pipeline.detectors.yolo_world.spec import SelectionSpec
from crqat_pipeline.inference.runnable import ModelFacts
from crqat_pipeline.inference.saturation import warn_of_saturation
from crqat_pipeline.structures.output import Detections
from crqat_pipeline.structures.vocabulary import TextBank

HEADER_KEY = "crqat"
FORMAT_VERSION = 1
HIGHEST_SCORE = 1 - 2**-24


class OnnxModel:
    """An exported graph; prompts are an input, unless the vocabulary was folded in."""

    def __init__(self, path: Path, num_threads: int | None = None) -> None:
        """Raises ValueError for a file that onnxruntime cannot open or that this project did not export."""
        self._session = _session(path, num_threads)
        facts = _facts(path, self._session)
        height = self._session.get_inputs()[0].shape[2]
        bank = _text_bank(facts)
        fixed = bank.prompts if facts["has_fixed_vocabulary"] and bank is not None else None
        if facts["wide_layers"]:
            warn_of_saturation(path, len(facts["wide_layers"]))
        self._selection = SelectionSpec(nms_iou=facts["nms_iou"])
        self.facts = ModelFacts(
            form=f"ONNX {facts['form']}",
            embedding_dim=facts["embedding_dim"],
            size_divisor_px=facts["size_divisor_px"],
            text_bank=bank,
            text_encoder=facts["extra"].get("text_encoder"),
            image_size_px=height if isinstance(height, int) else facts["extra"].get("image_size_px"),
            fixed_prompts=fixed,
        )

    def detect(
        self, images_B3HW: Tensor, text_KD: Tensor, *, score_threshold: float, max_detections: int
    ) -> list[Detections]:
        feeds = {"images": images_B3HW.numpy()}
        if self.facts.fixed_prompts is None:
            feeds["text_embeddings"] = text_KD.float().numpy()
        boxes_BN4, scores_BNK = map(torch.from_numpy, self._session.run(["boxes", "scores"], feeds))
        logits_BNK = scores_BNK.clamp(max=HIGHEST_SCORE).logit()
        return [
            select_detections(logits_NK, boxes_N4, score_threshold, max_detections, self._selection)
            for logits_NK, boxes_N4 in zip(logits_BNK, boxes_BN4, strict=True)
        ]


def _session(path: Path, num_threads: int | None) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError("ONNX models need onnxruntime. Install it: pip install crqat-pipeline[onnx].") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if num_threads is not None:
        options.intra_op_num_threads = num_threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own, without a common name
        raise ValueError(f"onnxruntime cannot open {path}: {error}. Copy or export the model again.") from error


def _facts(path: Path, session: Any) -> dict[str, Any]:
    stored = session.get_modelmeta().custom_metadata_map.get(HEADER_KEY)
    if stored is None:
        raise ValueError(f"{path} is an ONNX model of another program: it lacks the {HEADER_KEY!r} metadata.")
    facts: dict[str, Any] = json.loads(stored)
    if not 1 <= facts["format_version"] <= FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {facts['format_version']}; this program reads 1 to {FORMAT_VERSION}. "
            "Update crqat-pipeline, or export the model again with it."
        )
    return facts


def _text_bank(facts: dict[str, Any]) -> TextBank | None:
    stored = facts.get("text_bank")
    if stored is None:
        return None
    flat = np.frombuffer(base64.b64decode(stored["embeddings"]), dtype="<f4").copy()
    embeddings_KD = torch.from_numpy(flat).reshape(len(stored["prompts"]), facts["embedding_dim"])
    return TextBank(tuple(stored["prompts"]), embeddings_KD, stored["encoder"], stored["is_normalized"])
