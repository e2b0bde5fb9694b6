"""A detector that runs in ncnn, its prompts inside.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding, N regions.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from crqat_pipeline.detectors.common.selection import SelectionSpec, select_detections
from crqat_pipeline.export.ncnn.runtime import FILES, image_sides, open_ncnn, require_ncnn
from crqat_pipeline.inference.onnx_model import to_logits
from crqat_pipeline.inference.runnable import check_answer, facts_of_fixed
from crqat_pipeline.model_files.onnx_facts import parse_onnx_facts, verify
from crqat_pipeline.structures.output import Detections

OUTPUTS = ("boxes", "scores")


class NcnnModel:
    """A network of `crqat export --form ncnn`: its .param file, with the two others beside it."""

    def __init__(self, path: Path, num_threads: int = 1) -> None:
        """Raises ValueError for a missing extra, missing files, and ones that this project did not export."""
        require_ncnn()
        missing = [name for name in FILES if not (path.parent / name).is_file()]
        if missing:
            raise ValueError(
                f"A network of ncnn is the files {', '.join(FILES)} of one folder; {path.parent} lacks "
                f"{', '.join(missing)}. Copy them, or export it again: crqat export --form ncnn."
            )
        text, stored, header = ((path.parent / name).read_bytes() for name in FILES)
        facts = parse_onnx_facts(header.decode(errors="replace"), path)
        verify(header + text + stored, facts, path)
        self._run = open_ncnn(text.decode(), stored, {name: name for name in OUTPUTS}, num_threads)
        height, width = image_sides(text.decode())
        self._selection = SelectionSpec(max_candidates=facts.max_candidates, nms_iou=facts.nms_iou)
        self.facts = facts_of_fixed(facts, "ncnn", height, width)

    def detect(
        self, images_B3HW: Tensor, text_KD: Tensor, *, score_threshold: float, max_detections: int
    ) -> list[Detections]:
        found: list[Detections] = []
        for image_13HW in torch.split(images_B3HW, 1):
            outputs = self._run(image_13HW.numpy())
            boxes_N4, scores_NK = (torch.from_numpy(outputs[name][0]) for name in OUTPUTS)
            check_answer(scores_NK, boxes_N4)
            found.append(
                select_detections(to_logits(scores_NK), boxes_N4, score_threshold, max_detections, self._selection)
            )
        return found
