"""The feature pyramid of detectron2, as a part of its own.

Shape letters: B images, C channels, H W cells.
"""

from __future__ import annotations

from collections.abc import Mapping

from detectron2.modeling.backbone.fpn import FPN, LastLevelP6P7
from torch import Tensor, nn
from torch.nn import functional

from crqat_pipeline.detectors.detectron2_retinanet.backbone import STAGES
from crqat_pipeline.detectors.detectron2_retinanet.spec import RetinaNetSpec

LEVELS = ("p3", "p4", "p5")


class Pyramid(nn.Module):
    """res3, res4, res5 in, one map per level out. The layers are those of detectron2's FPN.

    FPN's own forward reads its layers from plain lists, where a swapped layer would not be seen.
    """

    def __init__(self, spec: RetinaNetSpec, resnet: nn.Module) -> None:
        super().__init__()
        width, last = spec.pyramid_channels, spec.res2_channels * 8
        top_block = LastLevelP6P7(last, width) if spec.has_p6_p7 else None
        pyramid = FPN(resnet, list(STAGES), width, top_block=top_block)
        for name, child in pyramid.named_children():
            if name != "bottom_up":
                self.add_module(name, child)
        self.level_names = (*LEVELS, "p6", "p7") if spec.has_p6_p7 else LEVELS

    def forward(self, maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Maps by the names of the levels, finest first."""
        outputs: dict[str, Tensor] = {}
        above_BCHW: Tensor | None = None
        for stage, level in zip(reversed(STAGES), reversed(LEVELS), strict=True):
            merged_BCHW: Tensor = self.get_submodule(f"fpn_lateral{level[1:]}")(maps[stage])
            if above_BCHW is not None:
                merged_BCHW = merged_BCHW + functional.interpolate(above_BCHW, scale_factor=2.0, mode="nearest")
            outputs[level] = self.get_submodule(f"fpn_output{level[1:]}")(merged_BCHW)
            above_BCHW = merged_BCHW
        if "p6" in self.level_names:
            outputs["p6"], outputs["p7"] = self.get_submodule("top_block")(maps[STAGES[-1]])
        return {name: outputs[name] for name in self.level_names}
