"""A path aggregation network that sees no text: nothing in it depends on the prompts.

Shape letters: B images, C channels, H W cells of a map.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from crqat_pipeline.detectors.one_stage.blocks import ConvUnit, CspBlock, doubled
from crqat_pipeline.detectors.one_stage.spec import OneStageSpec


class PlainNeck(nn.Module):
    """Maps c3, c4, c5 in; td_p3, td_p4, bu_p4, bu_p5 out (td_p3, bu_p4, bu_p5 feed the head)."""

    def __init__(self, spec: OneStageSpec) -> None:
        super().__init__()
        p3, p4, p5 = spec.stage_channels[1:]

        def block(in_channels: int, out_channels: int) -> CspBlock:
            return CspBlock(in_channels, out_channels, spec.neck_bottlenecks, has_shortcut=False)

        self.td_p4 = block(p5 + p4, p4)
        self.td_p3 = block(p4 + p3, p3)
        self.down_3 = ConvUnit(p3, p3, 3, stride=2)
        self.bu_p4 = block(p3 + p4, p4)
        self.down_4 = ConvUnit(p4, p4, 3, stride=2)
        self.bu_p5 = block(p4 + p5, p5)

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        c3, c4, c5 = features["c3"], features["c4"], features["c5"]
        td_p4 = self.td_p4(torch.cat([doubled(c5), c4], dim=1))
        td_p3 = self.td_p3(torch.cat([doubled(td_p4), c3], dim=1))
        bu_p4 = self.bu_p4(torch.cat([self.down_3(td_p3), td_p4], dim=1))
        bu_p5 = self.bu_p5(torch.cat([self.down_4(bu_p4), c5], dim=1))
        return {"td_p3": td_p3, "td_p4": td_p4, "bu_p4": bu_p4, "bu_p5": bu_p5}
