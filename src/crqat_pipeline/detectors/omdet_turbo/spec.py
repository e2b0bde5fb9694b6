"""Every number that shapes an OmDet-Turbo detector; the defaults are the released swin-tiny model's."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from crqat_pipeline.detectors.common.selection import SelectionSpec

STRIDES_PX = (8, 16, 32)


class QueryLossSpec(BaseModel):
    """Weights of the losses and of the costs that match queries with objects (DETR family's own values)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    class_weight: float = Field(1.0, ge=0, description="Weight of the varifocal loss over all prompts")
    box_weight: float = Field(5.0, ge=0, description="Weight of the L1 distance of boxes in units of the image")
    giou_weight: float = Field(2.0, ge=0, description="Weight of 1 - generalized IoU")
    class_cost: float = Field(2.0, ge=0, description="Of the focal class cost in the matching")
    box_cost: float = Field(5.0, ge=0, description="Of the L1 distance in the matching")
    giou_cost: float = Field(2.0, ge=0, description="Of 1 - generalized IoU in the matching")


class OmDetTurboSpec(BaseModel):
    """Widths, depths and constants of one detector; sizes.py names the detectors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    swin_width: int = Field(
        96, ge=8, description="Channels of the Swin backbone's first stage; each stage doubles them"
    )
    swin_depths: tuple[int, int, int, int] = Field((2, 2, 6, 2), description="Blocks of the stages")
    swin_heads: tuple[int, int, int, int] = Field((3, 6, 12, 24), description="Attention heads of the stages")
    window_size: int = Field(7, ge=2, description="Side of the backbone's attention windows in cells")
    hidden_dim: int = Field(256, ge=8, description="Width of neck and decoder")
    num_heads: int = Field(8, ge=1, description="Attention heads of neck and decoder")
    feedforward_dim: int = Field(2048, ge=1, description="Width of their feed-forward layers")
    encoder_layers: int = Field(1, ge=1, description="Transformer layers of the neck, on its coarsest map")
    decoder_layers: int = Field(6, ge=1, description="Decoder layers, each of which refines the boxes")
    num_points: int = Field(4, ge=1, description="Points per level and head that a query samples")
    num_queries: int = Field(900, ge=1, description="Decoder queries; fewer on images with fewer cells")
    task_hidden_dim: int = Field(1024, ge=1, description="Width of the task encoder")
    embedding_dim: int = Field(512, ge=1, description="D, length of text embeddings")
    positives_per_object: int = Field(10, ge=1, description="K: best queries of each object that TRKD compares")
    loss: QueryLossSpec = QueryLossSpec()
    selection: SelectionSpec = SelectionSpec(nms_iou=0.5)

    @model_validator(mode="after")
    def _heads_divide_widths(self) -> OmDetTurboSpec:
        if self.hidden_dim % 4 or self.hidden_dim % self.num_heads:
            raise ValueError(
                f"hidden_dim is a multiple of 4 and of num_heads; got {self.hidden_dim} and {self.num_heads}. "
                "Use e.g. 256 and 8."
            )
        for stage, heads in enumerate(self.swin_heads):
            if (self.swin_width * 2**stage) % heads:
                raise ValueError(
                    f"Stage {stage + 1} of the backbone has {self.swin_width * 2**stage} channels, which do not split "
                    f"into {heads} heads. Choose swin_heads that divide swin_width * (1, 2, 4, 8)."
                )
        return self
