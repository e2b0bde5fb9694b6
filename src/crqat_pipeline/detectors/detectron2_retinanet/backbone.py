"""The ResNet of detectron2, its convolutions and norms as modules of their own.

Shape letters: B images, 3 RGB, H W pixels, C channels.
"""

from __future__ import annotations

from typing import Any

import torch
from detectron2.layers import Conv2d
from detectron2.modeling.backbone import BasicStem, ResNet
from detectron2.modeling.backbone.resnet import BasicBlock, BottleneckBlock
from torch import Tensor, nn

from crqat_pipeline.detectors.detectron2_retinanet.spec import RetinaNetSpec

STAGES = ("res3", "res4", "res5")


class ConvNorm(nn.Module):
    """A convolution and its BatchNorm side by side; detectron2 keeps the norm inside a subclass of the convolution,
    where quantization can neither swap the one nor see the other.
    """

    def __init__(self, conv: nn.Conv2d, norm: nn.Module) -> None:
        super().__init__()
        self.conv, self.norm = conv, norm

    def forward(self, map_BCHW: Tensor) -> Tensor:
        normed_BCHW: Tensor = self.norm(self.conv(map_BCHW))
        return normed_BCHW


class Pixels(nn.Module):
    """RGB in [0, 1] to the order and scale of channels that the weights expect."""

    mean_C11: Tensor
    std_C11: Tensor

    def __init__(self, spec: RetinaNetSpec) -> None:
        super().__init__()
        self.is_reversed = spec.channel_order == "BGR"
        self.register_buffer("mean_C11", torch.tensor(spec.pixel_mean).view(3, 1, 1))
        self.register_buffer("std_C11", torch.tensor(spec.pixel_std).view(3, 1, 1))

    def forward(self, images_B3HW: Tensor) -> Tensor:
        ordered_B3HW = images_B3HW.flip(1) if self.is_reversed else images_B3HW
        return (ordered_B3HW * 255 - self.mean_C11) / self.std_C11


def build_resnet(spec: RetinaNetSpec) -> nn.Module:
    """A detectron2 ResNet that returns res3, res4, res5, with BatchNorm2d; its convolutions are still detectron2's."""
    stages, channels, inner, incoming = [], spec.res2_channels, spec.bottleneck_channels, spec.stem_channels
    for index, num_blocks in enumerate(spec.blocks_per_stage):
        options: dict[str, Any] = {"norm": "BN"}
        if spec.has_bottlenecks:
            options |= {"bottleneck_channels": inner, "stride_in_1x1": spec.stride_in_1x1}
        stages.append(
            ResNet.make_stage(
                BottleneckBlock if spec.has_bottlenecks else BasicBlock,
                num_blocks,
                stride_per_block=[1 if index == 0 else 2] + [1] * (num_blocks - 1),
                in_channels=incoming,
                out_channels=channels,
                **options,
            )
        )
        incoming, channels, inner = channels, 2 * channels, 2 * inner
    stem = BasicStem(in_channels=3, out_channels=spec.stem_channels, norm="BN")
    resnet: nn.Module = ResNet(stem, stages, out_features=list(STAGES))
    return resnet


def with_plain_convolutions(module: nn.Module) -> nn.Module:
    """The module with every convolution of detectron2 replaced by torch's own, in place; weights stay the same."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Conv2d):
                setattr(parent, name, _plain(child))
    return module


def _plain(conv: Any) -> nn.Module:
    with torch.device("meta"):
        plain = nn.Conv2d(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,
            conv.stride,
            conv.padding,
            conv.dilation,
            conv.groups,
            bias=conv.bias is not None,
        )
    plain.weight, plain.bias = conv.weight, conv.bias
    assert conv.activation is None, "blocks of detectron2 apply their activation themselves"
    return plain if conv.norm is None else ConvNorm(plain, conv.norm)
