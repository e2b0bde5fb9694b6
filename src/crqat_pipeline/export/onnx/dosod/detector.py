"""Emitters of a detector without fusion.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding, X = 1 (shared text).
"""

from __future__ import annotations

from crqat_pipeline.detectors.dosod.detector import Dosod
from crqat_pipeline.detectors.dosod.neck import PlainNeck
from crqat_pipeline.detectors.dosod.text_adaptor import TextAdaptor
from crqat_pipeline.detectors.one_stage.detector import HEAD_MAPS
from crqat_pipeline.export.onnx.emission import Emission
from crqat_pipeline.export.onnx.feature_map import Doubled, FeatureMap, Joined, Plain
from crqat_pipeline.export.onnx.one_stage.blocks import silu
from crqat_pipeline.export.onnx.one_stage.contrast import normalized
from crqat_pipeline.export.onnx.one_stage.head import HeadTensors


def dosod(emission: Emission, detector: Dosod, images_B3HW: str, text_KD: str) -> HeadTensors:
    """Logits, embeddings and boxes of images in [0, 1] and one set of text embeddings."""
    graph = emission.graph
    text_1KD = graph.node("Unsqueeze", text_KD, graph.integers(0), name="text")
    maps = emission.emit(detector.neck, emission.emit(detector.backbone, Plain(images_B3HW)))
    adapted_1KD = emission.emit(detector.text_adaptor, text_1KD)
    result: HeadTensors = emission.emit(detector.head, [maps[name] for name in HEAD_MAPS], adapted_1KD)
    return result


def text_adaptor(emission: Emission, block: TextAdaptor, text_XKD: str) -> str:
    name = emission.name(block)
    unit_XKD = normalized(emission, text_XKD, 2, name)
    hidden = silu(emission, emission.emit(block.first, unit_XKD), name)
    return emission.graph.node("Add", unit_XKD, emission.emit(block.second, hidden), name=name)


def neck(emission: Emission, block: PlainNeck, features: dict[str, FeatureMap]) -> dict[str, FeatureMap]:
    """td_p3, td_p4, bu_p4, bu_p5."""
    c3, c4, c5 = features["c3"], features["c4"], features["c5"]
    td_p4 = emission.emit(block.td_p4, Joined((Doubled(c5), c4)))
    td_p3 = emission.emit(block.td_p3, Joined((Doubled(td_p4), c3)))
    bu_p4 = emission.emit(block.bu_p4, Joined((emission.emit(block.down_3, td_p3), td_p4)))
    bu_p5 = emission.emit(block.bu_p5, Joined((emission.emit(block.down_4, bu_p4), c5)))
    return {"td_p3": td_p3, "td_p4": td_p4, "bu_p4": bu_p4, "bu_p5": bu_p5}
