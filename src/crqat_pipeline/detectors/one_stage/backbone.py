"""CSP-Darknet of YOLOv8: the part of the detector that never sees text.

Shape letters: B images, 3 RGB, H W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crqat_pipeline.detectors.one_stage.blocks import ConvUnit, CspBlock, PyramidPooling
from crqat_pipeline.detectors.one_stage.spec import OneStageSpec


class Stage(nn.Module):
    """Halve the resolution, then a CSP block with shortcuts."""

    def __init__(self, in_channels: int, out_channels: int, num_bottlenecks: int) -> None:
        super().__init__()
        self.down = ConvUnit(in_channels, out_channels, 3, stride=2)
        self.csp = CspBlock(out_channels, out_channels, num_bottlenecks, has_shortcut=True)

    def forward(self, map_BCHW: Tensor) -> Tensor:
        result: Tensor = self.csp(self.down(map_BCHW))
        return result


class Backbone(nn.Module):
    """Images in, maps c3, c4, c5 at strides 8, 16, 32 out.

    Images are laid out channels last, which all later maps keep: see benchmarks/detector_speed.py.
    """

    memory_format = torch.channels_last

    def __init__(self, spec: OneStageSpec) -> None:
        super().__init__()
        widths = (spec.stem_channels, *spec.stage_channels)
        self.stem = ConvUnit(3, spec.stem_channels, 3, stride=2)
        self.stage1, self.stage2, self.stage3, self.stage4 = (
            Stage(narrow, wide, count)
            for narrow, wide, count in zip(widths, widths[1:], spec.stage_bottlenecks, strict=False)
        )
        self.pooling = PyramidPooling(widths[-1])

    def forward(self, images_B3HW: Tensor) -> dict[str, Tensor]:
        c3 = self.stage2(self.stage1(self.stem(images_B3HW.contiguous(memory_format=self.memory_format))))
        c4 = self.stage3(c3)
        c5 = self.pooling(self.stage4(c4))
        return {"c3": c3, "c4": c4, "c5": c5}
