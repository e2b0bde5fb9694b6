"""Every number that shapes a YOLO-World detector, in one frozen record per size.

Triples run over the levels P3, P4, P5 (strides 8, 16, 32 pixels).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from crqat_pipeline.detectors.one_stage.spec import OneStageSpec


class YoloWorldSpec(OneStageSpec):
    """Widths, depths and constants of one detector; sizes.py fills it for the published sizes."""

    version: Literal[1, 2] = Field(2, description="1: text enhancer and L2 contrast; 2: neither, BN contrast")
    gate_heads: tuple[int, int, int] = Field(description="Heads of the max-sigmoid gates at P3, P4, P5")
    enhancer_width: int = Field(256, ge=1, description="Width of the text enhancer (version 1)")
    enhancer_heads: int = Field(8, ge=1, description="Heads of the text enhancer (version 1)")

    @property
    def has_batch_normed_contrast(self) -> bool:
        return self.version == 2

    @model_validator(mode="after")
    def _heads_divide_widths(self) -> YoloWorldSpec:
        for channels, heads in zip(self.stage_channels[1:], self.gate_heads, strict=True):
            if channels % 2 or (channels // 2) % heads:
                raise ValueError(
                    f"A text-guided block of {channels} channels gates {channels / 2:g} of them; they do not "
                    f"split into {heads} heads. Choose gate_heads that divide half of stage_channels."
                )
        if self.enhancer_width % self.enhancer_heads:
            raise ValueError(
                f"enhancer_width {self.enhancer_width} does not split into {self.enhancer_heads} heads. "
                "Choose enhancer_heads that divide it."
            )
        return self
