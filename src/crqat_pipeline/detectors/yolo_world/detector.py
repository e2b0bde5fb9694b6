"""YOLO-World behind the detector protocol.

Shape letters: X images or 1 (shared text), K prompts, D embedding.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from crqat_pipeline.detectors.one_stage.detector import OneStageDetector
from crqat_pipeline.detectors.weights import LoadReport
from crqat_pipeline.detectors.yolo_world.loading import load_weights
from crqat_pipeline.detectors.yolo_world.neck import Neck
from crqat_pipeline.detectors.yolo_world.spec import YoloWorldSpec
from crqat_pipeline.structures.vocabulary import TextBank


class YoloWorld(OneStageDetector[YoloWorldSpec]):
    """One-stage detector whose neck is gated by text and whose head compares regions with text."""

    neck: Neck

    def __init__(self, spec: YoloWorldSpec) -> None:
        super().__init__(spec, Neck)

    def neck_features(self, backbone_maps: dict[str, Tensor], text_XKD: Tensor) -> dict[str, Tensor]:
        """td_p3, td_p4, bu_p4, bu_p5, gated by text."""
        maps: dict[str, Tensor] = self.neck(backbone_maps, text_XKD)
        return maps

    def load_weights(self, source: str | Path, text_bank: TextBank | None = None) -> LoadReport:
        """Weights from an mmyolo .pth, an Ultralytics .pt or safetensors; a path, hf:// or https:// source.

        Raises WeightsRefused, with this detector untouched, when the file is unsafe or does not fit.
        """
        return load_weights(self, self.spec, source)
