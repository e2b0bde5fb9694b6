"""What a user may wish of the hand-off to a vendor's toolchain."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

OLDEST_OPSET, NEWEST_OPSET = 12, 18


class VendorSpec(BaseModel):
    """What the graph looks like from outside; its shapes are fixed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    opset: int = Field(13, ge=OLDEST_OPSET, le=NEWEST_OPSET, description="Of the graph; RKNN for RV1126 ends at 12")
    batch_size: int = Field(1, ge=1, le=10_000, description="Images per call")
    image_size_px: tuple[int, int] = Field(description="Height and width in pixels")
    has_text_input: bool = Field(
        False, description="Text embeddings as an input of as many rows as the text bank has, in place of constants"
    )
