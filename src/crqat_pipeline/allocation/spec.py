"""What the allocator is asked: which widths a device can run, and what the detector may cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from crqat_pipeline.runtime.lookup import look_up

Widths = tuple[int, ...]


@dataclass(frozen=True)
class Menu:
    """Widths that a layer may take. operands: of attention and similarity products."""

    purpose: str
    weight: Widths
    activation: Widths
    operands: Widths

    @property
    def bits(self) -> Widths:
        """Every width that occurs."""
        return tuple(sorted({*self.weight, *self.activation, *self.operands}))


MENUS: Mapping[str, Menu] = MappingProxyType(
    {
        "paper": Menu(
            "any width from 2 to 8: what bit operations count",
            weight=tuple(range(2, 9)),
            activation=tuple(range(2, 9)),
            operands=tuple(range(4, 9)),
        ),
        "npu": Menu("weights of 4 or 8 bits, 8-bit activations: what NPUs of phones run", (4, 8), (8,), (8,)),
        "ort": Menu("what the fast ONNX form fuses: 4 or 8-bit weights, bytes between", (4, 8), (4, 6, 8), (8,)),
    }
)


def _known(name: str) -> str:
    look_up(MENUS, name, "menu")
    return name


class Budget(BaseModel):
    """Upper bounds; what is left out is that of the run's own uniform widths (`quantization`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_mb: float | None = Field(None, gt=0, description="Size of the detector in MB (2^20 bytes)")
    bops_g: float | None = Field(None, gt=0, description="Bit operations of one image in 10^9")
    time_ms: float | None = Field(None, gt=0, description="Milliseconds of the layers that the table of latencies has")


class AllocationSpec(BaseModel):
    """The allocator's parameters. Costs are those of one image of image_size_px and num_prompts prompts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    menu: Annotated[str, AfterValidator(_known)] = Field("paper", description="Row of MENUS")
    budget: Budget = Field(default_factory=Budget, description="What the detector may cost")
    image_size_px: int = Field(gt=0, description="Side of the images, for costs and sensitivities")
    num_prompts: int = Field(gt=0, description="Prompts for which bit operations are counted")
    images: int = Field(16, gt=0, description="Calibration images on which sensitivities are measured")
    asked_prompts: int = Field(40, gt=0, description="Prompts drawn at random that the images are asked about")
    batch_size: int = Field(8, gt=0, description="Images of one pass")
    latencies: Path | None = Field(
        None, description="CSV of measured times: layer, weight_bits, activation_bits, milliseconds"
    )
    checks_pairs: bool = Field(
        True, description="Also predict with pairs of layers that feed one another, for the allocated widths"
    )

    @model_validator(mode="after")
    def _times_need_a_table(self) -> AllocationSpec:
        if self.budget.time_ms is not None and self.latencies is None:
            raise ValueError(
                f"A budget of time needs a table of measured latencies; got time_ms={self.budget.time_ms:g} alone. "
                "Set latencies to a CSV of your device (benchmarks/layer_latencies.py makes one of onnxruntime here)."
            )
        return self
