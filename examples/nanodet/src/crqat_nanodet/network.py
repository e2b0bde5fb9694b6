"""NanoDet-m: ShuffleNetV2 1.0x, a pyramid without convolutions, and one head per level. BatchNorm is folded.

Modules are in the order of execution, so that the convolutions of an ncnn file fit one after another.

Shape letters: B images, C channels, 3 RGB, H W pixels, X images or 1 (shared text), K prompts, D embedding, P pixels,
N regions of all levels (P3, P4, P5, row-major inside a level), R bins per box side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from crqat_pipeline.detectors.common.similarity import RegionTextSimilarity

LEVEL_STRIDES_PX = (8, 16, 32)
STAGE_CHANNELS, STAGE_UNITS, STEM_CHANNELS = (116, 232, 464), (4, 8, 4), 24
PYRAMID_CHANNELS, NUM_BINS = 96, 8
LEAK = 0.1

MEAN_RGB = (123.675, 116.28, 103.53)
INVERSE_DEVIATION_RGB = (0.017125, 0.017507, 0.017429)
"""Of pixels in [0, 255]."""


class ConvUnit(nn.Module):
    """A convolution, and a leaky ReLU where `is_active`."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, is_active: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups)
        self.act = nn.LeakyReLU(LEAK) if is_active else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        activated: Tensor = self.act(self.conv(x))
        return activated


def depthwise(channels: int, stride: int = 1, is_active: bool = False) -> ConvUnit:
    return ConvUnit(channels, channels, 3, stride, groups=channels, is_active=is_active)


class ShuffleUnit(nn.Module):
    """Two halves of the channels, interleaved.

    stride 1: one half passes by, the other goes through three convolutions. stride 2: both are made of the whole input.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        half = outputs // 2
        self.shortcut = nn.Sequential(depthwise(inputs, 2), ConvUnit(inputs, half, 1)) if stride == 2 else None
        entered = inputs if stride == 2 else half
        self.residual = nn.Sequential(ConvUnit(entered, half, 1), depthwise(half, stride), ConvUnit(half, half, 1))

    def forward(self, x: Tensor) -> Tensor:
        kept, entered = x.chunk(2, dim=1) if self.shortcut is None else (self.shortcut(x), x)
        return torch.stack((kept, self.residual(entered)), dim=2).flatten(1, 2)


class Backbone(nn.Module):
    """Pixels in [0, 1] in, c3, c4, c5 out (strides 8, 16, 32)."""

    mean_1C11: Tensor
    gain_1C11: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean_1C11", torch.tensor(MEAN_RGB).reshape(1, 3, 1, 1) / 255, persistent=False)
        gain = torch.tensor(INVERSE_DEVIATION_RGB).reshape(1, 3, 1, 1) * 255
        self.register_buffer("gain_1C11", gain, persistent=False)
        self.stem = ConvUnit(3, STEM_CHANNELS, 3, 2)
        self.pool = nn.MaxPool2d(3, 2, 1)
        inputs = STEM_CHANNELS
        for level, (channels, num_units) in enumerate(zip(STAGE_CHANNELS, STAGE_UNITS, strict=True), start=3):
            units = [
                ShuffleUnit(channels if index else inputs, channels, 1 if index else 2) for index in range(num_units)
            ]
            self.add_module(f"stage{level}", nn.Sequential(*units))
            inputs = channels

    def forward(self, images_B3HW: Tensor) -> dict[str, Tensor]:
        x = self.pool(self.stem((images_B3HW - self.mean_1C11) * self.gain_1C11))
        maps = {}
        for level in (3, 4, 5):
            x = self.get_submodule(f"stage{level}")(x)
            maps[f"c{level}"] = x
        return maps


class Neck(nn.Module):
    """Lateral 1x1 convolutions, then additions of resized maps downwards and upwards."""

    def __init__(self) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(channels, PYRAMID_CHANNELS, 1) for channels in STAGE_CHANNELS)

    def forward(self, maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """td_p3, td_p4, bu_p4, bu_p5: td on the way down to fine levels, bu on the way up."""
        p3, p4, p5 = (lateral(maps[f"c{level}"]) for level, lateral in zip((3, 4, 5), self.laterals, strict=True))
        td_p4 = p4 + _resized(p5, 2.0)
        td_p3 = p3 + _resized(td_p4, 2.0)
        bu_p4 = td_p4 + _resized(td_p3, 0.5)
        bu_p5 = p5 + _resized(bu_p4, 0.5)
        return {"td_p3": td_p3, "td_p4": td_p4, "bu_p4": bu_p4, "bu_p5": bu_p5}


class HeadOutput(NamedTuple):
    """class_logits_BNK, region_embeddings_BND, box_bins_BN4R (logits of left, top, right, bottom)."""

    class_logits_BNK: Tensor
    region_embeddings_BND: Tensor
    box_bins_BN4R: Tensor


class LevelHead(nn.Module):
    """Two depthwise-separable blocks, then region embeddings and box distributions by 1x1 convolutions.

    logit = <embedding, text / ||text||> + bias (projection.py says how a closed-set classifier becomes this).
    """

    def __init__(self, embedding_dim: int) -> None:
        super().__init__()
        self.tower = nn.Sequential(*_separable(PYRAMID_CHANNELS), *_separable(PYRAMID_CHANNELS))
        self.embedding = nn.Conv2d(PYRAMID_CHANNELS, embedding_dim, 1)
        self.box = nn.Conv2d(PYRAMID_CHANNELS, 4 * NUM_BINS, 1)
        self.similarity = RegionTextSimilarity()
        self.bias = nn.Parameter(torch.tensor(-4.6))  # 0.01 as a score

    def forward(self, map_BCHW: Tensor, text_XKD: Tensor) -> HeadOutput:
        x = self.tower(map_BCHW)
        embedding_BDP = self.embedding(x).flatten(2)
        logits_BPK = self.similarity(embedding_BDP, functional.normalize(text_XKD, dim=2)) + self.bias
        bins_BP4R = self.box(x).flatten(2).transpose(1, 2).unflatten(2, (4, NUM_BINS))
        return HeadOutput(logits_BPK, embedding_BDP.transpose(1, 2), bins_BP4R)


def _separable(channels: int) -> tuple[ConvUnit, ConvUnit]:
    return depthwise(channels, is_active=True), ConvUnit(channels, channels, 1)


class Head(nn.Module):
    """Nothing is shared between levels."""

    def __init__(self, embedding_dim: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(LevelHead(embedding_dim) for _ in LEVEL_STRIDES_PX)

    def forward(self, maps: list[Tensor], text_XKD: Tensor) -> HeadOutput:
        outputs = [level(map_BCHW, text_XKD) for level, map_BCHW in zip(self.levels, maps, strict=True)]
        return HeadOutput(*(torch.cat(parts, dim=1) for parts in zip(*outputs, strict=True)))


def _resized(map_BCHW: Tensor, factor: float) -> Tensor:
    return functional.interpolate(map_BCHW, scale_factor=factor, mode="bilinear", align_corners=False)
