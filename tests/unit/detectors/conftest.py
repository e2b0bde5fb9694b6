"""Random detectors whose maps carry a signal: BatchNorm statistics and gains like those of a trained network."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional


def _scene(num_images: int, height: int, width: int) -> Tensor:
    """Coloured blobs: white noise would leave deep maps almost constant, and the comparison to rounding errors."""
    coarse = torch.rand(num_images, 3, height // 16, width // 16)
    return functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)


def _enliven(detector: nn.Module, embedding_dim: int = 64, seed: int = 0) -> nn.Module:
    """Set every BatchNorm to the statistics of one batch of scenes, with gains of both signs, in eval mode."""
    torch.manual_seed(seed)
    norms = [module for module in detector.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        nn.init.uniform_(norm.weight, 0.3, 0.8)
        norm.weight.data[::5] *= -1
        nn.init.normal_(norm.bias)
    like = next(detector.parameters())
    detector.train()
    with torch.no_grad():
        detector(_scene(8, 128, 128).to(like.dtype), torch.randn(3, embedding_dim, dtype=like.dtype))
    for norm in norms:
        norm.momentum = 0.03
    return detector.eval()


@pytest.fixture
def enliven() -> Callable[..., nn.Module]:
    return _enliven


@pytest.fixture
def scene() -> Callable[[int, int, int], Tensor]:
    return _scene
