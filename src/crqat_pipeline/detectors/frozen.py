"""A detector that is only looked at: frozen, in eval mode, with less to compute."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import nn

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.detectors.yolo_world.blocks import ConvUnit
from crqat_pipeline.detectors.yolo_world.detector import YoloWorld
from crqat_pipeline.detectors.yolo_world.fold import fold_batch_norm


def frozen_copy(detector: OpenVocabularyDetector) -> OpenVocabularyDetector:
    """A copy in eval mode and without gradients; outputs and features are the detector's to float rounding.

    Families of SIMPLIFIED run faster than the original: benchmarks/curriculum_cost.py.
    """
    simplify = SIMPLIFIED.get(type(detector), copy.deepcopy)
    return simplify(detector).eval().requires_grad_(False)


def _yolo_world(detector: OpenVocabularyDetector) -> OpenVocabularyDetector:
    """BatchNorm in the convolutions' weights, activations in place. A detector with swapped layers is only copied."""
    assert isinstance(detector, YoloWorld)
    units = [module for module in detector.modules() if isinstance(module, ConvUnit)]
    if any(type(unit.conv) is not nn.Conv2d or type(unit.bn) is not nn.BatchNorm2d for unit in units):
        return copy.deepcopy(detector)
    folded = fold_batch_norm(detector)
    for unit in folded.modules():
        if isinstance(unit, ConvUnit) and isinstance(unit.act, nn.SiLU):
            unit.act.inplace = True  # nothing else reads the convolution's output
    return folded


SIMPLIFIED: Mapping[type[OpenVocabularyDetector], Callable[[OpenVocabularyDetector], OpenVocabularyDetector]] = (
    MappingProxyType({YoloWorld: _yolo_world})
)
