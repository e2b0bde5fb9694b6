"""Convolutional blocks of YOLOv8 that backbone, neck and head are made of.

Shape letters: B images, C channels, H W pixels of a feature map.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

BATCH_NORM_EPS = 1e-3
BATCH_NORM_MOMENTUM = 0.03


class ConvUnit(nn.Module):
    """Conv2d without bias, BatchNorm2d, SiLU (or nothing if `is_activated` is False)."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1, is_activated: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=BATCH_NORM_EPS, momentum=BATCH_NORM_MOMENTUM)
        self.act: nn.Module = nn.SiLU() if is_activated else nn.Identity()

    def forward(self, map_BCHW: Tensor) -> Tensor:
        activated: Tensor = self.act(self.bn(self.conv(map_BCHW)))
        return activated


class Bottleneck(nn.Module):
    """Two 3x3 units of equal width; with `has_shortcut` the input is added to the result."""

    def __init__(self, channels: int, has_shortcut: bool) -> None:
        super().__init__()
        self.first = ConvUnit(channels, channels, 3)
        self.second = ConvUnit(channels, channels, 3)
        self.has_shortcut = has_shortcut

    def forward(self, map_BCHW: Tensor) -> Tensor:
        result: Tensor = self.second(self.first(map_BCHW))
        return map_BCHW + result if self.has_shortcut else result


class CspBlock(nn.Module):
    """Cross-stage partial block (C2f): split, a chain of bottlenecks, everything concatenated, 1x1."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_bottlenecks: int,
        has_shortcut: bool,
        num_extra_branches: int = 0,
    ) -> None:
        super().__init__()
        self.hidden = out_channels // 2
        self.entry = ConvUnit(in_channels, 2 * self.hidden)
        self.bottlenecks = nn.ModuleList(Bottleneck(self.hidden, has_shortcut) for _ in range(num_bottlenecks))
        self.exit = ConvUnit((2 + num_bottlenecks + num_extra_branches) * self.hidden, out_channels)

    def branches(self, map_BCHW: Tensor) -> list[Tensor]:
        """The two halves of the entry, then the output of each bottleneck, (B, hidden, H, W) each."""
        collected = list(self.entry(map_BCHW).chunk(2, dim=1))
        for bottleneck in self.bottlenecks:
            collected.append(bottleneck(collected[-1]))
        return collected

    def forward(self, map_BCHW: Tensor) -> Tensor:
        result: Tensor = self.exit(torch.cat(self.branches(map_BCHW), dim=1))
        return result


class PyramidPooling(nn.Module):
    """SPPF: one 5x5 max-pool applied three times in a row, all four maps concatenated."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.entry = ConvUnit(channels, channels // 2)
        self.pool = nn.MaxPool2d(5, stride=1, padding=2)
        self.exit = ConvUnit(channels // 2 * 4, channels)

    def forward(self, map_BCHW: Tensor) -> Tensor:
        maps = [self.entry(map_BCHW)]
        for _ in range(3):
            maps.append(self.pool(maps[-1]))
        result: Tensor = self.exit(torch.cat(maps, dim=1))
        return result


def doubled(map_BCHW: Tensor) -> Tensor:
    """(B, C, 2H, 2W): each cell four times."""
    return functional.interpolate(map_BCHW, scale_factor=2.0, mode="nearest")
