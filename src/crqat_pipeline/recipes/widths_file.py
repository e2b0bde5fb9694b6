"""Widths of single layers in a file: parameters in YAML that Kedro reads, and rules of the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crqat_pipeline.quantization.width_rules import WidthRule, parse_rule, read_rules


def parameters_of(widths: Mapping[str, Any]) -> dict[str, Any]:
    """The widths as parameters of a run: {"quantization": {"widths": …}}."""
    return {"quantization": {"widths": dict(widths)}}


def read_widths(path: Path) -> tuple[WidthRule, ...]:
    """The rules of a file that bit_allocation or `crqat allocate` wrote. Raises ValueError, naming the file."""
    from crqat_pipeline.runtime.bounded_yaml import (
        read_yaml,
    )  # the light installation has no PyYAML, and needs none before

    try:
        content = read_yaml(path)
        widths = content["quantization"]["widths"]
        return tuple(WidthRule.model_validate(rule) for rule in read_rules(widths))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} holds no widths ({type(error).__name__}). A file of widths is YAML with quantization: widths: in "
            "it, as crqat allocate writes it; a rule on the command line has an equals sign, such as edges=8."
        ) from error


def read_options(texts: Sequence[str]) -> tuple[WidthRule, ...]:
    """Rules of repeated --widths options, in order: layers=bits, or a file of them."""
    rules: list[WidthRule] = []
    for text in texts:
        rules += [parse_rule(text)] if "=" in text else read_widths(Path(text))
    return tuple(rules)
