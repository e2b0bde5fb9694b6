"""The parameters of the embedded benchmark."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Split = Literal["train", "val", "tune", "qat"]
SPLITS: tuple[Split, ...] = ("train", "val", "tune", "qat")


class OpenShapesSpec(BaseModel):
    """How many scenes are drawn, and what they look like. Every pixel follows from these values.

    The defaults follow a feasibility study of this project (docs: embedded benchmark), with two changes: objects span
    16 to 96 px instead of 18 to 44, so that every level of the detector has objects of its own, and training categories
    are long-tailed, so that the LVIS frequencies r, c and f all occur.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(0, ge=0, description="Seed of scenes, pixels and category splits.")
    num_train_images: int = Field(8000, ge=1, description="Scenes with base categories only, long-tailed.")
    num_val_images: int = Field(600, ge=1, description="Scenes with base and novel categories: reported numbers.")
    num_tune_images: int = Field(300, ge=1, description="Like val, for choosing hyperparameters; never reported.")
    num_qat_images: int = Field(600, ge=1, description="Scenes with objects of the qat categories only.")
    num_qat_categories: int = Field(
        24, ge=1, le=192, description="Vocabulary of the qat split, drawn from base evenly over the words."
    )
    image_size_px: int = Field(128, ge=64, le=1024, description="Side of a scene, pixels.")
    min_objects: int = Field(2, ge=1, description="Fewest objects of a scene.")
    max_objects: int = Field(6, ge=1, le=20, description="Most objects of a scene.")
    min_object_px: float = Field(16.0, ge=8.0, description="Smallest object size (root of box area), pixels.")
    max_object_px: float = Field(96.0, ge=8.0, description="Largest object size (root of box area), pixels.")
    max_overlap: float = Field(
        0.22, ge=0.0, lt=1.0, description="Largest intersection of two boxes, as a share of the smaller box."
    )
    tail_steepness: float = Field(
        5.0,
        ge=0.0,
        le=12.0,
        description="Training category at rank u in [0, 1] is drawn with weight exp(-steepness * u^2); 0: uniform.",
    )
    negatives_per_image: int = Field(
        60, ge=0, description="LVIS-format files: categories per image that are verified absent."
    )
    noise_std: float = Field(6.0, ge=0.0, description="Gaussian pixel noise, grey levels of 255.")

    @model_validator(mode="after")
    def _check_ranges(self) -> Self:
        if self.max_objects < self.min_objects:
            raise ValueError(f"max_objects ({self.max_objects}) must be at least min_objects ({self.min_objects}).")
        if self.max_object_px < self.min_object_px:
            raise ValueError(
                f"max_object_px ({self.max_object_px}) must be at least min_object_px ({self.min_object_px})."
            )
        if self.max_object_px > 0.75 * self.image_size_px:
            raise ValueError(
                f"max_object_px ({self.max_object_px}) must be at most 3/4 of image_size_px ({self.image_size_px})."
            )
        return self

    def num_images(self, split: Split) -> int:
        """Scenes of a split."""
        return {
            "train": self.num_train_images,
            "val": self.num_val_images,
            "tune": self.num_tune_images,
            "qat": self.num_qat_images,
        }[split]
