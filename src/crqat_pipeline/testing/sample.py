"""Random images, texts and objects that the checks look at.

Shape letters: B images, 3 RGB, H W pixels, K prompts, D embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from crqat_pipeline.detectors import OpenVocabularyDetector
from crqat_pipeline.structures.batch import ImageTargets

LEAST_SIDE_PX = 64


def side_px(detector: OpenVocabularyDetector, cells: int = 2) -> int:
    """A side that the detector takes: some multiples of its divisor, at least 64 px."""
    divisor = detector.size_divisor
    return max(cells * divisor, -(-LEAST_SIDE_PX // divisor) * divisor)


def images(detector: OpenVocabularyDetector, num_images: int = 2, dtype: torch.dtype = torch.float32) -> Tensor:
    """(B, 3, H, W), taller than wide."""
    return torch.rand(num_images, 3, side_px(detector, 3), side_px(detector), dtype=dtype)


def texts(detector: OpenVocabularyDetector, num_prompts: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """(K, D), not of unit length."""
    return 3 * torch.randn(num_prompts, detector.embedding_dim, dtype=dtype)


def objects(side: int) -> tuple[ImageTargets, ImageTargets]:
    """Two objects in the first of two images, none in the second; labels 1 and 0."""
    boxes_M4 = torch.tensor([[0.06, 0.1, 0.62, 0.7], [0.3, 0.3, 0.95, 0.95]]) * side
    empty = ImageTargets(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    return ImageTargets(boxes_M4, torch.tensor([1, 0])), empty


def lively(builder: Callable[..., OpenVocabularyDetector], options: Mapping[str, Any]) -> OpenVocabularyDetector:
    """A detector in eval mode, BatchNorm statistics those of a random batch: or maps of random weights fade to 0."""
    torch.manual_seed(0)
    detector = builder(**options)
    norms = [module for module in detector.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        detector.train()(images(detector), texts(detector, 3))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return detector.eval()
