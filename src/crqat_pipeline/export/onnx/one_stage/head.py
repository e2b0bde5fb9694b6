"""Emitter of the head: per level a box branch, a class-embedding branch and a contrast with text.

Shape letters: B images, X images or 1 (shared text), K prompts, D embedding, C channels, P pixels of a level, N regions
of all levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from crqat_pipeline.detectors.one_stage.contrast import Contrast
from crqat_pipeline.detectors.one_stage.head import Head
from crqat_pipeline.detectors.one_stage.spec import LEVEL_STRIDES_PX
from crqat_pipeline.export.onnx.box_decoding import cell_points, decoded_boxes
from crqat_pipeline.export.onnx.emission import Emission
from crqat_pipeline.export.onnx.feature_map import FeatureMap
from crqat_pipeline.export.onnx.one_stage.contrast import can_collapse, collapsed_contrast


@dataclass(frozen=True)
class HeadTensors:
    """Names of class_logits_BNK, boxes_BN4 (pixel xyxy) and region_embeddings_BND (None where nobody wants them)."""

    class_logits: str
    boxes: str
    region_embeddings: str | None


def head(emission: Emission, block: Head, maps: Sequence[FeatureMap], text_XKD: str) -> HeadTensors:
    name = emission.name(block)
    logits, embeddings, bins, points, strides = [], [], [], [], []
    levels = zip(maps, block.box_branches, block.embedding_branches, block.contrasts, LEVEL_STRIDES_PX, strict=True)
    for feature, box_branch, embedding_branch, contrast, stride_px in levels:
        assert isinstance(embedding_branch, nn.Sequential)
        assert isinstance(contrast, Contrast)
        last = embedding_branch[-1]
        assert isinstance(last, nn.Conv2d)
        if not emission.wants_embeddings and can_collapse(emission, contrast, last):
            feature_before = emission.emit(embedding_branch[:-1], feature)
            logits.append(collapsed_contrast(emission, contrast, last, _flat(emission, feature_before, name), text_XKD))
        else:
            embedding_BDP = _flat(emission, emission.emit(embedding_branch, feature), name)
            level_logits, scored_BDP = emission.emit(contrast, embedding_BDP, text_XKD)
            logits.append(level_logits)
            embeddings.append(scored_BDP)
        box_map = emission.emit(box_branch, feature)
        bins.append(_flat(emission, box_map, name))
        level_points, level_strides = cell_points(emission, emission.floats(box_map), stride_px, name)
        points.append(level_points)
        strides.append(level_strides)
    boxes = decoded_boxes(emission, _rows(emission, bins, name), block.num_bins, points, strides, name)
    wanted = _rows(emission, embeddings, name) if emission.wants_embeddings else None
    return HeadTensors(_rows(emission, logits, name), boxes, wanted)


def _flat(emission: Emission, feature: FeatureMap, name: str) -> str:
    """(B, C, P)."""
    return emission.graph.node("Reshape", emission.floats(feature), emission.graph.integers(0, 0, -1), name=name)


def _rows(emission: Emission, levels: Sequence[str], name: str) -> str:
    """(B, C, P) of each level to (B, N, C)."""
    joined = emission.graph.node("Concat", *levels, name=name, axis=2)
    return emission.graph.node("Transpose", joined, name=name, perm=[0, 2, 1])
