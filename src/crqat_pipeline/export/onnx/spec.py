"""What a user may wish of an ONNX graph."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

FormName: TypeAlias = Literal["auto", "fast", "spec", "openvino", "tensorrt", "fp32"]


class OnnxSpec(BaseModel):
    """What an exported graph looks like from outside."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    form: FormName = Field("auto", description="Row of FORMS; auto: the one that fits how the detector was trained")
    opset: int | None = Field(
        None, ge=18, le=23, description="Version of ONNX; none: the form's own. Below 21 4-bit weights take a byte"
    )
    batch_size: int | None = Field(None, ge=1, le=10_000, description="Images per call; free when absent")
    image_size_px: tuple[int, int] | None = Field(
        None, description="Height and width in pixels, multiples of the detector's size divisor; free when absent"
    )
    has_fixed_vocabulary: bool = Field(
        False, description="Store the text bank in the graph in place of the input text_embeddings"
    )
    has_text_bank: bool = Field(True, description="Store the prompts and their embeddings in the file's metadata")
    has_embeddings: bool = Field(True, description="Output the region embeddings (B, N, D) as well")
    has_unsigned_weights: bool = Field(
        False,
        description="8-bit weights beside 8-bit activations raised to unsigned ones: right in any program on x86 CPUs "
        "without VNNI too, and slow on all others",
    )
    score_threshold: float = Field(0.001, ge=0, lt=1, description="Stored for users of the file; a probability")
    top_regions: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Add the best regions of each image, so many, with their best prompt: fixed shapes, not suppressed",
    )
    nms_iou: float | None = Field(
        None, gt=0, le=1, description="Of nms in the graph and of users of the file; none: the detector's own"
    )
    nms_max_detections: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Add suppression per prompt to the graph, with at most so many detections per prompt",
    )
