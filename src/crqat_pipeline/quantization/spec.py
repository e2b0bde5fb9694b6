"""Everything a user decides about quantization, checked before anything runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from crqat_pipeline.quantization.granularity import Granularity
from crqat_pipeline.quantization.initialization_rules import INITIALIZATIONS
from crqat_pipeline.quantization.kernels.table import KERNELS
from crqat_pipeline.quantization.quantizer_table import FAKE_QUANTIZERS
from crqat_pipeline.quantization.width_rules import Bits, WidthRule, read_rules
from crqat_pipeline.runtime.lookup import look_up


def _row_of(table: Mapping[str, Any], kind: str) -> AfterValidator:
    """A field that names a row; the table is read when the name is checked, so that added rows count."""

    def check(name: str) -> str:
        look_up(table, name, kind)
        return name

    return AfterValidator(check)


QuantizerName = Annotated[str, _row_of(FAKE_QUANTIZERS, "quantizer")]
InitializationName = Annotated[str, _row_of(INITIALIZATIONS, "initialization")]
KernelName = Annotated[str, _row_of(KERNELS, "kernel")]

RECORDED = {"weight_bits", "weight_granularity", "weight_quantizer", "gradient_scale", "percentile", "deployment"}
"""Some of the fields that every record of a file has; nobody writes all of these by hand."""
LATER = {"widths", "gate_exchange"}
"""Fields that a record has only where they are set."""


class QuantSpec(BaseModel):
    """How weights, activations and attention operands become integers. `parse` reads the notation of the paper."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight_bits: Bits = Field(description="Bits (2 to 8) of convolution and linear weights: the first of 4-4-8.")
    activation_bits: Bits = Field(description="Bits (2 to 8) of the inputs of these layers: the second of 4-4-8.")
    attention_bits: Bits = Field(description="Bits (2 to 8) of the operands of attention products: the third of 4-4-8.")

    similarity_bits: Bits = Field(
        None,
        description="Bits of the operands of the region-text similarity product; none in the paper.",
    )

    widths: Annotated[tuple[WidthRule, ...], BeforeValidator(read_rules)] = Field(
        (),
        description="Layers with other bits than these: {edges, similarity, attention, a part or a pattern: bits, or "
        "{weight, activation, pre_activation}}, in order; what a later rule sets wins.",
    )

    weight_granularity: Granularity = Field("Ch", description="Steps of a weight: per channel (CR-QAT paper: Ch-T-H).")
    activation_granularity: Granularity = Field("T", description="Steps of an activation: per tensor (CR-QAT paper).")
    attention_granularity: Granularity = Field(
        "H", description="Steps of an attention operand: per head (CR-QAT paper)."
    )
    weight_symmetric: bool = Field(True, description="Signed codes around zero (CR-QAT paper), or unsigned ones.")
    activation_symmetric: bool = Field(
        False, description="Signed codes, or unsigned ones with a zero point (CR-QAT paper)."
    )
    attention_symmetric: bool = Field(
        False, description="Signed codes, or unsigned ones with a zero point (CR-QAT paper)."
    )
    narrow_weight_range: bool = Field(
        True,
        description="Leave out the lowest weight code (-8 of 4 bits), so that a BatchNorm with negative gain folds "
        "into int4 codes. The paper uses the full range.",
    )

    weight_quantizer: QuantizerName = Field(
        "lsq", description="Row of FAKE_QUANTIZERS for weights (CR-QAT paper: LSQ)."
    )
    activation_quantizer: QuantizerName = Field(
        "lsq_plus", description="Row of FAKE_QUANTIZERS for activations and attention (CR-QAT paper: LSQ+)."
    )
    gradient_mask: Literal["strict", "rounded"] = Field(
        "rounded",
        description="Which x keep their gradient: strictly inside the grid (LSQ), or half a step further, as in "
        "PyTorch's own operator; after SiLU the difference is a fifth of all values.",
    )
    gradient_scale: Literal["none", "elements", "features"] = Field(
        "elements",
        description="LSQ's 1/sqrt(N quant_max) on the step gradient: N elements of a step, or per image; "
        "Adam cancels it.",
    )
    scale_parametrization: Literal["plain", "log"] = Field(
        "log", description="Train the step itself (LSQ) or its logarithm (relative updates, always positive)."
    )
    weight_initialization: InitializationName = Field(
        "mse", description="Row of INITIALIZATIONS for weights; LSQ's own formula is 'lsq'."
    )
    activation_initialization: InitializationName = Field(
        "mse", description="Row of INITIALIZATIONS for activations and attention; LSQ+ uses 'mse'."
    )
    percentile: float = Field(
        99.99, gt=50.0, le=100.0, description="Upper percentile of initialization 'percentile', in percent."
    )

    keep_edge_layers: bool = Field(
        True, description="Keep the detector's first and last layers in full precision (CR-QAT paper)."
    )
    keep_full_precision: tuple[str, ...] | None = Field(
        None,
        description="Name patterns (fnmatch) of layers or their parents that stay in full precision; none: those that "
        "the detector's own row names.",
    )
    pre_activation_bits: Bits = Field(
        None,
        description="Also quantize the output of each quantized layer and its BatchNorm, before the activation "
        "function: integer runtimes need it (8 bits) to fuse a convolution.",
    )
    gate_exchange: bool = Field(
        False,
        description="Round what text gates before the gate scales it, with a grid of its own: the layer behind is "
        "linear in the gate and stays in integers.",
    )
    deployment: Literal["integer", "simulation"] = Field(
        "integer",
        description="'integer' refuses what integer arithmetic cannot execute; 'simulation' allows everything.",
    )
    kernel: KernelName = Field("auto", description="Row of KERNELS: how a fake quantizer computes.")

    @classmethod
    def parse(cls, bits: str, granularity: str = "Ch-T-H", **options: Any) -> QuantSpec:
        """QuantSpec.parse("4-4-8", "Ch-T-H"): weight, activation and attention. "none" or "32": full precision.

        Raises ValueError for a text that does not have three fields, and for values outside the spec.
        """
        numbers = [_one_width(field, bits) for field in _three_fields(bits, "bits", "4-4-8")]
        grains = _three_fields(granularity, "granularity", "Ch-T-H")
        names = ("weight", "activation", "attention")
        fields: dict[str, Any] = {f"{name}_bits": number for name, number in zip(names, numbers, strict=True)}
        fields.update({f"{name}_granularity": grain for name, grain in zip(names, grains, strict=True)})
        return cls.model_validate(fields | options)

    @property
    def notation(self) -> str:
        """The paper's notation, such as "4-4-8 Ch-T-H"; behind it exchanged gates and the rules of single layers."""
        bits = (self.weight_bits, self.activation_bits, self.attention_bits)
        grains = (self.weight_granularity, self.activation_granularity, self.attention_granularity)
        first = "-".join("none" if b is None else str(b) for b in bits) + " " + "-".join(grains)
        return " ".join([first, *(["gates exchanged"] if self.gate_exchange else []), *map(str, self.widths)])

    @property
    def file_mark(self) -> str:
        """What the names of files say of the widths: int4 for 4-4-8, w4a8 for 4-8-8, w4a4t6 for 4-4-6, fp for none.

        Eight bits of attention, as in the paper, are not said; layers with widths of their own are: int4_mixed.
        """
        if self.widths:
            return f"{self.model_copy(update={'widths': ()}).file_mark}_mixed"
        weight, activation, attention = (
            "fp" if bits is None else str(bits)
            for bits in (self.weight_bits, self.activation_bits, self.attention_bits)
        )
        if weight == activation == attention == "fp":
            return "fp"
        if attention != "8":
            return f"w{weight}a{activation}t{attention}"
        return f"int{weight}" if weight == activation != "fp" else f"w{weight}a{activation}"

    @model_serializer(mode="wrap")
    def _without_what_is_off(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Files without rules and exchanged gates are those of before there were any: earlier programs read them."""
        fields: dict[str, Any] = dump(self)
        return {name: value for name, value in fields.items() if name not in LATER or value}

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_records(cls, data: Any) -> Any:
        """Files of earlier versions record all their fields, and among them calibration_images, which nothing read."""
        if isinstance(data, Mapping) and "calibration_images" in data and set(data) >= RECORDED:
            return {name: value for name, value in data.items() if name != "calibration_images"}
        return data

    @model_validator(mode="after")
    def _check(self) -> QuantSpec:
        if "H" in (self.weight_granularity, self.activation_granularity):
            raise ValueError(
                "Per-head steps exist for attention operands only; got "
                f"{self.weight_granularity}-{self.activation_granularity}-{self.attention_granularity}. "
                "Write it as weight-activation-attention, such as 'Ch-T-H'."
            )
        if self.gate_exchange and self.activation_granularity != "T":
            raise ValueError(
                "Maps before a gate have one step each; got gate_exchange with activation_granularity="
                f"{self.activation_granularity!r}. Use 'T'."
            )
        if self.kernel == "native" and self.gradient_mask == "strict":
            raise ValueError(
                "The native kernel has the rounded gradient mask only; got 'strict'. Use gradient_mask='rounded' or "
                "kernel='eager'."
            )
        if "pact" in (self.weight_quantizer, self.activation_quantizer) and self.kernel in ("native",):
            raise ValueError("The native kernel has no PACT gradient; got 'pact'. Use kernel='eager'.")
        if self.deployment == "integer":
            self._check_integer_arithmetic()
        return self

    def _check_integer_arithmetic(self) -> None:
        way_out = "Set both, or deployment='simulation' to study it without an integer export."
        if (self.weight_bits is None) != (self.activation_bits is None):
            raise ValueError(
                "Integer arithmetic needs weights and activations quantized together; got weight_bits="
                f"{self.weight_bits} and activation_bits={self.activation_bits}. {way_out}"
            )
        if self.activation_granularity != "T":
            raise ValueError(
                "A step per input channel cannot leave the integer sum over channels; got activation_granularity="
                f"{self.activation_granularity!r}. Use 'T', or deployment='simulation'."
            )
        if self.pre_activation_bits is not None and self.activation_bits is None:
            raise ValueError(
                "A pre-activation quantizer serves quantized layers; got pre_activation_bits="
                f"{self.pre_activation_bits} without activation_bits. {way_out}"
            )


def _three_fields(text: str, what: str, example: str) -> list[str]:
    fields = text.strip().split("-")
    if len(fields) != 3:
        raise ValueError(
            f"{what} must have three fields, weight-activation-attention; got {text!r}. Example: {example!r}."
        )
    return fields


def _one_width(field: str, text: str) -> int | None:
    if field.lower() in ("none", "fp", "32"):
        return None
    if not re.fullmatch(r"[0-9]+", field):
        raise ValueError(f"bits must be whole numbers or 'none'; got {field!r} in {text!r}. Example: '4-4-8'.")
    return int(field)
