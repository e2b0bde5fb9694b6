"""Emitter of the whole YOLO-World detector.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding, X = 1 (shared text).
"""

from __future__ import annotations

from crqat_pipeline.detectors.one_stage.detector import HEAD_MAPS
from crqat_pipeline.detectors.yolo_world.detector import YoloWorld
from crqat_pipeline.export.onnx.emission import Emission
from crqat_pipeline.export.onnx.feature_map import Plain
from crqat_pipeline.export.onnx.one_stage.head import HeadTensors


def yolo_world(emission: Emission, detector: YoloWorld, images_B3HW: str, text_KD: str) -> HeadTensors:
    """Logits, embeddings and boxes of images in [0, 1] and one set of text embeddings."""
    graph = emission.graph
    text_1KD = graph.node("Unsqueeze", text_KD, graph.integers(0), name="text")
    features = emission.emit(detector.backbone, Plain(images_B3HW))
    maps = emission.emit(detector.neck, features, text_1KD)
    result: HeadTensors = emission.emit(detector.head, [maps[name] for name in HEAD_MAPS], text_1KD)
    return result
