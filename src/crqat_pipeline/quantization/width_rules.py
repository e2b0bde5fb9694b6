"""Widths of single layers: rules that are read in order and say which layers get other bits than the run's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def check_bits(bits: int | None) -> int | None:
    """Raises ValueError outside 2 to 8."""
    if bits is not None and not 2 <= bits <= 8:
        raise ValueError(f"Bits must be 2 to 8, or none for full precision; got {bits}. Use a number such as 4 or 8.")
    return bits


Bits = Annotated[int | None, AfterValidator(check_bits)]


def _check_width(width: int | str) -> int | str:
    if isinstance(width, str):
        if width != "none":
            raise ValueError(f"A width is 2 to 8, or none for full precision; got {width!r}.")
        return width
    check_bits(width)
    return width


Width = Annotated[int | str, AfterValidator(_check_width)]

GROUPS = ("edges", "similarity", "attention")
"""Selectors beside names of parts and patterns: the detector's first and last layers, and its two kinds of products."""


class WidthRule(BaseModel):
    """One rule: which layers, and their bits. A width that is left out stays as it was; "none" is full precision.

    For a product `activation` stands for its operands.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: str = Field(min_length=1, description="edges, similarity, attention, a part, or a pattern (fnmatch)")
    weight: Width | None = Field(None, description="Bits of the weights")
    activation: Width | None = Field(None, description="Bits of the inputs; of the operands of a product")
    pre_activation: Width | None = Field(None, description="Bits of the output before the activation function")

    @model_validator(mode="after")
    def _sets_something(self) -> WidthRule:
        if self.weight is None and self.activation is None and self.pre_activation is None:
            raise ValueError(
                f"A width rule sets weight, activation or pre_activation; {self.layers!r} sets nothing. Write a number "
                f"such as {{{self.layers}: 8}}, or none for full precision."
            )
        return self

    def __str__(self) -> str:
        if self.weight == self.activation and self.pre_activation is None:
            return f"{self.layers}={self.weight}"
        named = {"w": self.weight, "a": self.activation, "p": self.pre_activation}
        return f"{self.layers}=" + "".join(f"{key}{width}" for key, width in named.items() if width is not None)


def read_rules(value: Any) -> Any:
    """The ways in which a user writes rules, as a list of them.

    A mapping {layers: width or {weight: …, activation: …}} in its order, a list of such mappings or of rules. One
    width alone stands for weight and activation.
    """
    if isinstance(value, Mapping):
        return [_one_rule(str(layers), width) for layers, width in value.items()]
    if isinstance(value, list | tuple):
        return [rule for one in value for rule in (read_rules(one) if _is_short(one) else [one])]
    return value


def parse_rule(text: str) -> WidthRule:
    """A rule of the command line: "edges=8", "backbone.stage3*=4-8" (weight and activation), "similarity=none".

    Raises ValueError for another form.
    """
    layers, equals, widths = text.partition("=")
    fields = widths.split("-")
    if not layers or not equals or len(fields) > 2 or not all(f == "none" or f.isdecimal() for f in fields):
        raise ValueError(
            f"A width is written layers=bits or layers=weight-activation; got {text!r}. Examples: "
            "similarity=8, edges=8, backbone=4-8, neck.top_down_4*=none."
        )
    numbers: list[int | str] = [f if f == "none" else int(f) for f in fields]
    return WidthRule.model_validate({"layers": layers, "weight": numbers[0], "activation": numbers[-1]})


def _is_short(value: Any) -> bool:
    return isinstance(value, Mapping) and "layers" not in value


def _one_rule(layers: str, width: Any) -> dict[str, Any]:
    if isinstance(width, Mapping):
        return {"layers": layers, **width}
    return {"layers": layers, "weight": width, "activation": width}
