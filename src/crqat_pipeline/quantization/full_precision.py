"""Which layers stay in full precision, and why."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from crqat_pipeline.quantization.parts import part_of
from crqat_pipeline.quantization.spec import QuantSpec
from crqat_pipeline.structures.quantization_contract import contract_of


def matches(name: str, pattern: str) -> bool:
    """True if the pattern matches the module's name or the name of one of its parents."""
    pieces = name.split(".")
    return any(fnmatchcase(".".join(pieces[:end]), pattern) for end in range(1, len(pieces) + 1))


def kept_patterns(detector: nn.Module, spec: QuantSpec) -> tuple[str, ...]:
    """The spec's patterns, or those of the detector's contract where the spec leaves the choice to it."""
    if spec.keep_full_precision is None:
        return contract_of(detector).full_precision
    return spec.keep_full_precision


def check_patterns(patterns: Sequence[str], candidates: Sequence[str]) -> None:
    """Raises ValueError for a pattern that matches no layer or product of the detector."""
    for pattern in patterns:
        if not any(matches(name, pattern) for name in candidates):
            near = difflib.get_close_matches(pattern, candidates, n=3, cutoff=0.3)
            raise ValueError(
                f"A pattern of keep_full_precision must match a layer; got {pattern!r}, which matches none. "
                f"Near: {', '.join(near) or 'none'}. Patterns use *, ? and [] on full names such as {candidates[0]!r}."
            )


def reason_to_keep(detector: nn.Module, keeps_edges: bool, patterns: Sequence[str], name: str) -> str | None:
    """Why this layer or product stays in full precision; None if it is quantized."""
    if part_of(detector, name) is None:
        return "in no part of the detector"
    if keeps_edges and name in contract_of(detector).edge_layers:
        return "first or last layer"
    for pattern in patterns:
        if matches(name, pattern):
            return f"pattern {pattern!r}"
    return None
