"""Every number that shapes a YOLO-World detector, in one frozen record per size.

Triples run over the levels P3, P4, P5 (strides 8, 16, 32 pixels).
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from crqat_pipeline.detectors.common.assigner import AssignerSpec
from crqat_pipeline.detectors.common.losses import LossSpec
from crqat_pipeline.detectors.common.selection import SelectionSpec

LEVEL_STRIDES_PX = (8, 16, 32)


class YoloWorldSpec(BaseModel):
    """Widths, depths and constants of one detector; sizes.py fills it for the published sizes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1, 2] = Field(2, description="1: text enhancer and L2 contrast; 2: neither, BN contrast")
    stem_channels: int = Field(ge=1, description="Channels after the stem (stride 2)")
    stage_channels: tuple[int, int, int, int] = Field(description="Channels of the stages at stride 4, 8, 16, 32")
    stage_bottlenecks: tuple[int, int, int, int] = Field(description="Bottlenecks of each backbone stage")
    neck_bottlenecks: int = Field(ge=1, description="Bottlenecks of each text-guided block")
    gate_heads: tuple[int, int, int] = Field(description="Heads of the max-sigmoid gates at P3, P4, P5")
    box_width: int = Field(ge=1, description="Channels of the box branches")
    embedding_width: int = Field(ge=1, description="Channels of the class-embedding branches")
    head_convs: int = Field(2, ge=0, description="3x3 convolutions of a head branch before its last 1x1")
    num_bins: int = Field(16, ge=2, description="Distance bins per box side (reg_max), in strides: 0 ... num_bins-1")
    embedding_dim: int = Field(512, ge=1, description="D, length of text and region embeddings")
    enhancer_width: int = Field(256, ge=1, description="Width of the text enhancer (version 1)")
    enhancer_heads: int = Field(8, ge=1, description="Heads of the text enhancer (version 1)")
    contrast_bias: float | None = Field(
        None, description="Initial logit bias; None: ln(5 / 80 / (640 px / stride)^2) per level"
    )
    full_precision: tuple[str, ...] = Field(
        (), description="Name patterns of layers that stay in full precision where the quantization spec names none"
    )
    assigner: AssignerSpec = AssignerSpec()
    loss: LossSpec = LossSpec()
    selection: SelectionSpec = SelectionSpec()

    @model_validator(mode="after")
    def _heads_divide_widths(self) -> YoloWorldSpec:
        for channels, heads in zip(self.stage_channels[1:], self.gate_heads, strict=True):
            if channels % 2 or (channels // 2) % heads:
                raise ValueError(
                    f"A text-guided block of {channels} channels gates {channels / 2:g} of them; they do not "
                    f"split into {heads} heads. Choose gate_heads that divide half of stage_channels."
                )
        if self.stage_channels[0] % 2:
            raise ValueError(f"stage_channels must be even; got {self.stage_channels[0]}. Use an even width.")
        if self.enhancer_width % self.enhancer_heads:
            raise ValueError(
                f"enhancer_width {self.enhancer_width} does not split into {self.enhancer_heads} heads. "
                "Choose enhancer_heads that divide it."
            )
        return self
