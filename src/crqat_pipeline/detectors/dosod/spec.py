"""Numbers that shape a detector without fusion."""

from __future__ import annotations

from pydantic import Field

from crqat_pipeline.detectors.one_stage.spec import OneStageSpec


class DosodSpec(OneStageSpec):
    """Widths, depths and constants of one detector; sizes.py fills it."""

    adaptor_width: int = Field(512, ge=1, description="Hidden width of the text adaptor")
    full_precision: tuple[str, ...] = Field(
        ("text_adaptor",),
        description="Name patterns of layers that stay in full precision where the quantization spec names none. The "
        "adaptor runs once per vocabulary, as the text encoder does, and not per image.",
    )
