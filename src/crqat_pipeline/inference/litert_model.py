"""A detector that runs in LiteRT, its prompts inside.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding, N regions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from crqat_pipeline.detectors.common.selection import SelectionSpec, select_detections
from crqat_pipeline.export.litert.runtime import IDENTIFIER, image_sides, metadata_of, open_litert, require_litert
from crqat_pipeline.inference.onnx_model import to_logits
from crqat_pipeline.inference.runnable import check_answer, facts_of_fixed
from crqat_pipeline.model_files.onnx_facts import METADATA_KEY, parse_onnx_facts, verify
from crqat_pipeline.structures.output import Detections


class LitertModel:
    """A file of `crqat export --form litert`, with so many images per call as it was written for."""

    def __init__(self, path: Path, num_threads: int = 1) -> None:
        """Raises ValueError for a missing extra, and a file that does not open or that this project did not export."""
        require_litert()
        content = path.read_bytes()
        if content[4:8] != IDENTIFIER:
            raise ValueError(f"{path} is not a LiteRT file. Copy or export it again.")
        facts = parse_onnx_facts(metadata_of(content, METADATA_KEY), path)
        verify(content, facts, path)
        self._run = open_litert(content, num_threads)
        self._batch_size, height, width = image_sides(content)
        self._selection = SelectionSpec(max_candidates=facts.max_candidates, nms_iou=facts.nms_iou)
        self.facts = facts_of_fixed(facts, "LiteRT", height, width)

    def detect(
        self, images_B3HW: Tensor, text_KD: Tensor, *, score_threshold: float, max_detections: int
    ) -> list[Detections]:
        found: list[Detections] = []
        for start in range(0, len(images_B3HW), self._batch_size):
            chunk = images_B3HW[start : start + self._batch_size].numpy()
            count = len(chunk)
            filled = np.concatenate([chunk, np.zeros((self._batch_size - count, *chunk.shape[1:]), chunk.dtype)])
            outputs = self._run(filled)
            boxes_BN4, scores_BNK = (torch.from_numpy(outputs[name][:count]) for name in ("boxes", "scores"))
            check_answer(scores_BNK, boxes_BN4)
            found.extend(
                select_detections(logits_NK, boxes_N4, score_threshold, max_detections, self._selection)
                for logits_NK, boxes_N4 in zip(to_logits(scores_BNK), boxes_BN4, strict=True)
            )
        return found
