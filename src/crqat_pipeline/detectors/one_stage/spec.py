"""Numbers that shape every one-stage detector of the table.

Triples run over the levels P3, P4, P5 (strides 8, 16, 32 pixels).
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from crqat_pipeline.detectors.common.assigner import AssignerSpec
from crqat_pipeline.detectors.common.losses import LossSpec
from crqat_pipeline.detectors.common.selection import SelectionSpec

LEVEL_STRIDES_PX = (8, 16, 32)


class OneStageSpec(BaseModel):
    """Widths, depths and constants of one detector."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stem_channels: int = Field(ge=1, description="Channels after the stem (stride 2)")
    stage_channels: tuple[int, int, int, int] = Field(description="Channels of the stages at stride 4, 8, 16, 32")
    stage_bottlenecks: tuple[int, int, int, int] = Field(description="Bottlenecks of each backbone stage")
    neck_bottlenecks: int = Field(ge=1, description="Bottlenecks of each block of the neck")
    box_width: int = Field(ge=1, description="Channels of the box branches")
    embedding_width: int = Field(ge=1, description="Channels of the class-embedding branches")
    head_convs: int = Field(2, ge=0, description="3x3 convolutions of a head branch before its last 1x1")
    num_bins: int = Field(16, ge=2, description="Distance bins per box side (reg_max), in strides: 0 ... num_bins-1")
    embedding_dim: int = Field(512, ge=1, description="D, length of text and region embeddings")
    contrast_bias: float | None = Field(
        None, description="Initial logit bias; None: ln(5 / 80 / (640 px / stride)^2) per level"
    )
    full_precision: tuple[str, ...] = Field(
        (), description="Name patterns of layers that stay in full precision where the quantization spec names none"
    )
    assigner: AssignerSpec = AssignerSpec()
    loss: LossSpec = LossSpec()
    selection: SelectionSpec = SelectionSpec()

    @property
    def has_batch_normed_contrast(self) -> bool:
        """Whether regions meet texts after a BatchNorm, or divided by their length."""
        return True

    @model_validator(mode="after")
    def _first_stage_is_even(self) -> OneStageSpec:
        if self.stage_channels[0] % 2:
            raise ValueError(f"stage_channels must be even; got {self.stage_channels[0]}. Use an even width.")
        return self
