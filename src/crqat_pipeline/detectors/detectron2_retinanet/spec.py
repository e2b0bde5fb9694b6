"""Every number that shapes a RetinaNet of detectron2, in one frozen record. Nothing here needs detectron2."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from crqat_pipeline.detectors.common.selection import SelectionSpec

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
Triple = tuple[float, float, float]


class RetinaNetSpec(BaseModel):
    """Defaults are those of detectron2's retinanet_R_50_FPN (Lin et al. 2017), its pixel scale included."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    depth: Literal[18, 34, 50, 101, 152] = Field(50, description="Depth of the ResNet; from 50 on with bottlenecks")
    blocks: tuple[int, int, int, int] | None = Field(None, description="Blocks of each stage; none: those of the depth")
    stem_channels: int = Field(64, ge=1, description="Channels after the stem (stride 4)")
    res2_channels: int = Field(
        256, ge=1, description="Channels of the first stage; each further stage has twice as many"
    )
    bottleneck_channels: int = Field(64, ge=1, description="Inner width of the first stage's bottlenecks")
    stride_in_1x1: bool = Field(True, description="Bottlenecks stride in their first 1x1 convolution (MSRA weights)")
    pyramid_channels: int = Field(256, ge=1, description="Channels of the feature pyramid and of the head")
    has_p6_p7: bool = Field(True, description="Two more levels of strides 64 and 128 px, made from the last stage")
    head_convs: int = Field(4, ge=1, description="3x3 convolutions of a head branch before its last one")
    anchor_scales: tuple[float, ...] = Field(
        (4.0, 4.0 * 2 ** (1 / 3), 4.0 * 2 ** (2 / 3)), min_length=1, description="Sides of anchors, in strides"
    )
    aspect_ratios: tuple[float, ...] = Field((0.5, 1.0, 2.0), min_length=1, description="Height by width of anchors")
    anchor_offset: float = Field(0.0, ge=0, lt=1, description="Where in its cell an anchor's centre lies, in strides")
    match_iou: tuple[float, float] = Field(
        (0.4, 0.5), description="Overlap below which an anchor is background, and from which it is an object's"
    )
    prior_probability: float = Field(0.01, gt=0, lt=1, description="Score of every region before training")
    focal_alpha: float = Field(0.25, ge=0, le=1, description="Weight of positives in the focal loss")
    focal_gamma: float = Field(2.0, ge=0, description="Exponent of the focal loss")
    smooth_l1_beta: float = Field(0.1, ge=0, description="Where the box loss turns from square to linear")
    class_weight: float = Field(1.0, ge=0, description="Weight of the focal loss")
    box_weight: float = Field(1.0, ge=0, description="Weight of the box loss")
    embedding_dim: int = Field(512, ge=1, description="D, length of text and region embeddings")
    channel_order: Literal["BGR", "RGB"] = Field("BGR", description="Order of channels that the weights expect")
    pixel_mean: Triple = Field((103.53, 116.28, 123.675), description="Of pixels 0...255, in channel_order")
    pixel_std: Triple = Field((1.0, 1.0, 1.0), description="Of pixels 0...255; 1: it is part of the stem's weights")
    full_precision: tuple[str, ...] = Field(
        (), description="Name patterns of layers that stay in full precision where the quantization spec names none"
    )
    selection: SelectionSpec = SelectionSpec(max_candidates=5000, nms_iou=0.5)

    @model_validator(mode="after")
    def _are_in_order(self) -> RetinaNetSpec:
        low, high = self.match_iou
        if not 0 <= low <= high <= 1:
            raise ValueError(f"match_iou is two overlaps in ascending order, in [0, 1]; got {low} and {high}.")
        if any(value <= 0 for value in (*self.anchor_scales, *self.aspect_ratios, *self.pixel_std)):
            raise ValueError("anchor_scales, aspect_ratios and pixel_std are above 0. Leave out what is not.")
        return self

    @property
    def blocks_per_stage(self) -> tuple[int, int, int, int]:
        return self.blocks or BLOCKS[self.depth]

    @property
    def has_bottlenecks(self) -> bool:
        return self.depth >= 50

    @property
    def strides_px(self) -> tuple[int, ...]:
        """Of the pyramid's levels."""
        return (8, 16, 32, 64, 128) if self.has_p6_p7 else (8, 16, 32)

    @property
    def anchors_per_cell(self) -> int:
        return len(self.anchor_scales) * len(self.aspect_ratios)
