"""How weights are advanced: steps, rates, precision, checkpoints."""

from __future__ import annotations

import math
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class OptimizationSpec(BaseModel):
    """One run of the training loop."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    num_steps: int = Field(default=0, ge=0, description="Optimizer steps; absent where num_epochs says how many")
    num_epochs: float | None = Field(
        default=None, gt=0, description="Passes over the images of the stage, instead of num_steps"
    )
    learning_rate: float = Field(gt=0, description="Peak rate of the weights; 1.5e-5 in the paper at batch 48")
    quantizer_rate_factor: float = Field(
        default=0.1, gt=0, description="Rate of quantizer steps and zero points relative to the weights (paper: 0.1)"
    )
    weight_decay: float = Field(
        default=0.0, ge=0, description="AdamW decay of matrices; never on norms, biases, quantizers"
    )
    schedule: Literal["constant", "cosine"] = Field(default="constant", description="Constant in the paper")
    warmup_steps: int = Field(default=0, ge=0, description="Linear warm-up from 0, in steps")
    max_gradient_norm: float | None = Field(default=None, gt=0, description="L2 clip over all gradients")
    accumulation_steps: int = Field(default=1, ge=1, description="Batches per optimizer step")
    ema_decay: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Decay of a weight average (ramped up), which is then the result",
    )
    autocast: Literal["float32", "bfloat16"] = Field(default="float32", description="Precision of the forward pass")
    log_every_steps: int = Field(default=10, ge=1, description="Steps between two points of the loss curves")
    checkpoint_every_steps: int = Field(default=100, ge=1, description="Steps between two resumable checkpoints")

    @field_validator("num_steps", mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        return 0 if value is None else value  # an environment takes back a num_steps of conf/base with null

    @model_validator(mode="after")
    def _has_one_length(self) -> Self:
        if (self.num_steps > 0) == (self.num_epochs is not None):
            raise ValueError(
                f"give num_steps (at least 1) or num_epochs, not both; got {self.num_steps} and {self.num_epochs}. An "
                "environment takes one back with null"
            )
        if 0 < self.num_steps < self.warmup_steps:
            raise ValueError(
                f"a warm-up fits into the training; got {self.warmup_steps} warmup_steps of {self.num_steps}. "
                "Lower warmup_steps"
            )
        return self

    def for_images(self, num_images: int, batch_size: int) -> OptimizationSpec:
        """The same with num_steps: as given, or as many as num_epochs over so many images take, rounded up.

        Raises ValueError where the warm-up would be longer than that.
        """
        if self.num_epochs is None:
            return self
        steps = math.ceil(self.num_epochs * num_images / (batch_size * self.accumulation_steps))
        if steps < self.warmup_steps:
            raise ValueError(
                f"A warm-up fits into the training; got {self.warmup_steps} warmup_steps, and {self.num_epochs:g} "
                f"epochs over {num_images} images take {steps} steps. Lower warmup_steps."
            )
        return self.model_copy(update={"num_steps": steps, "num_epochs": None})
