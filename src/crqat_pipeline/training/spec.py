"""How weights are advanced: steps, rates, precision, checkpoints."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class OptimizationSpec(BaseModel):
    """One run of the training loop."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_steps: int = Field(ge=1, description="Optimizer steps")
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
