"""What the reader of a layout is told: where one source of training data lies, and what is done about its faults."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SourceFiles(BaseModel):
    """One annotation file and the image folder that goes with it; `SourceSpec` has the layout checked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: str = Field(description="Row of LAYOUTS: objects365, coco, lvis, grounding")
    annotations: Path = Field(description="JSON file")
    images: Path = Field(description="Folder; names of the file may begin with folders above it")
    num_categories: int | None = Field(
        default=None, ge=1, description="Refuse another number of categories; absent: the number of the published file"
    )
    leave_out: tuple[str, ...] = Field(
        default=(), description="Ends of names of images that are left out, beside those known to be missing"
    )
    faulty_boxes: Literal["refuse", "repair"] = Field(
        default="refuse",
        description="repair: clip boxes to their image, leave out those without area or phrase, and count both",
    )
