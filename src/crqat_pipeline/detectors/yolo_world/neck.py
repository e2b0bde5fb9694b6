"""RepVL-PAN: a path aggregation network whose four blocks are gated by text.

Shape letters: B images, X images or 1 (shared text), K prompts, D embedding.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from crqat_pipeline.detectors.one_stage.blocks import ConvUnit, doubled
from crqat_pipeline.detectors.yolo_world.gate import TextGuidedCsp
from crqat_pipeline.detectors.yolo_world.spec import YoloWorldSpec
from crqat_pipeline.detectors.yolo_world.text_enhancer import TextEnhancer


class Neck(nn.Module):
    """Maps c3, c4, c5 and text in; td_p3, td_p4, bu_p4, bu_p5 out (td_p3, bu_p4, bu_p5 feed the head)."""

    def __init__(self, spec: YoloWorldSpec) -> None:
        super().__init__()
        p3, p4, p5 = spec.stage_channels[1:]
        heads3, heads4, heads5 = spec.gate_heads

        def guided(in_channels: int, out_channels: int, num_heads: int) -> TextGuidedCsp:
            return TextGuidedCsp(in_channels, out_channels, spec.neck_bottlenecks, spec.embedding_dim, num_heads)

        self.td_p4 = guided(p5 + p4, p4, heads4)
        self.td_p3 = guided(p4 + p3, p3, heads3)
        self.text_enhancer = (
            TextEnhancer((p3, p4, p5), spec.embedding_dim, spec.enhancer_width, spec.enhancer_heads)
            if spec.version == 1
            else None
        )
        self.down_3 = ConvUnit(p3, p3, 3, stride=2)
        self.bu_p4 = guided(p3 + p4, p4, heads4)
        self.down_4 = ConvUnit(p4, p4, 3, stride=2)
        self.bu_p5 = guided(p4 + p5, p5, heads5)

    def forward(self, features: Mapping[str, Tensor], text_XKD: Tensor) -> dict[str, Tensor]:
        c3, c4, c5 = features["c3"], features["c4"], features["c5"]
        td_p4 = self.td_p4(torch.cat([doubled(c5), c4], dim=1), text_XKD)
        td_p3 = self.td_p3(torch.cat([doubled(td_p4), c3], dim=1), text_XKD)
        if self.text_enhancer is not None:
            text_XKD = self.text_enhancer(text_XKD, (td_p3, td_p4, c5))
        bu_p4 = self.bu_p4(torch.cat([self.down_3(td_p3), td_p4], dim=1), text_XKD)
        bu_p5 = self.bu_p5(torch.cat([self.down_4(bu_p4), c5], dim=1), text_XKD)
        return {"td_p3": td_p3, "td_p4": td_p4, "bu_p4": bu_p4, "bu_p5": bu_p5}
