"""The parameters of training batches."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from crqat_pipeline.detection_data.letterbox import LARGEST_SIDE_PX


class LoaderSpec(BaseModel):
    """Size, prompts and augmentation of batches. Values marked [pre-training] are YOLO-World's own recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_size_px: int = Field(128, ge=1, le=LARGEST_SIDE_PX, description="Side of the square input, pixels.")
    batch_size: int = Field(16, ge=1, description="Images per batch.")
    num_workers: int = Field(0, ge=0, le=64, description="Loader processes; 0 loads in the training process.")
    num_prompts: int = Field(
        40,
        ge=1,
        le=100_000,
        description="Prompts per image or batch: categories present, filled with random others. 80 [pre-training].",
    )
    prompt_scope: Literal["image", "batch"] = Field(
        "image",
        description="image: each image has its own prompts, embeddings (B, K, D) [pre-training]. batch: all images "
        "share them, embeddings (K, D); boxes of categories that find no place in K are left out.",
    )
    use_random_synonyms: bool = Field(
        True, description="Draw one of a category's names each time [pre-training]; off: the first name."
    )
    padding_prompt: str | None = Field(
        None,
        description="Fill up to num_prompts with this text if the vocabulary is smaller ('' [pre-training]); "
        "none: K is then the size of the vocabulary.",
    )
    phrase_negatives: Literal["own", "others"] = Field(
        "own",
        description="Prompts beside the phrases in an image whose boxes have phrases of a caption. own: its caption's "
        "other phrases, then padding [pre-training]. others: phrases of other captions too.",
    )
    flip_probability: float = Field(0.5, ge=0, le=1, description="Horizontal flip. 0.5 [pre-training].")
    use_photometric: bool = Field(False, description="Jitter hue, saturation and value. On [pre-training].")
    hue_gain: float = Field(0.015, ge=0, le=0.5, description="Largest hue shift, turns [pre-training].")
    saturation_gain: float = Field(0.7, ge=0, lt=1, description="Largest relative change [pre-training].")
    value_gain: float = Field(0.4, ge=0, lt=1, description="Largest relative change [pre-training].")
    use_affine: bool = Field(False, description="Random scale and translation. On [pre-training].")
    scale_gain: float = Field(
        0.5, ge=0, lt=1, description="Scale within 1 ± gain. 0.5 for size S, 0.9 for M to X [pre-training]."
    )
    translate_share: float = Field(
        0.1, ge=0, le=0.5, description="Largest translation, share of the image side [pre-training]."
    )
    mosaic_probability: float = Field(
        0.0, ge=0, le=1, description="Four images in one, then cropped. 1, and 0 in the last epochs [pre-training]."
    )

    @property
    def shows_same_pixels(self) -> bool:
        """Whether an image that is drawn again looks as it did before, or mirrored."""
        return not self.use_photometric and not self.use_affine and self.mosaic_probability == 0
