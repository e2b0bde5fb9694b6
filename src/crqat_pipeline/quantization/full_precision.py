"""Which layers stay in full precision, and why."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from crqat_pipeline.quantization.parts import part_of
from crqat_pipeline.quantization.spec import QuantSpec


def matches(name: str, pattern: str) -> bool:
    """True if the pattern matches the module's name or the name of one of its parents."""
    pieces = name.split(".")
    return any(fnmatchcase(".".join(pieces[:end]), pattern) for end in range(1, len(pieces) + 1))


def check_patterns(spec: QuantSpec, candidates: Sequence[str]) -> None:
    """Raises ValueError for a pattern that matches no layer or product of the detector."""
    for pattern in spec.keep_full_precision:
        if not any(matches(name, pattern) for name in candidates):
            near = difflib.get_close_matches(pattern, candidates, n=3, cutoff=0.3)
            raise ValueError(
                f"A pattern of keep_full_precision must match a layer; got {pattern!r}, which matches none. "
                f"Near: {', '.join(near) or 'none'}. Patterns use *, ? and [] on full names such as {candidates[0]!r}."
            )


def reason_to_keep(detector: nn.Module, spec: QuantSpec, name: str) -> str | None:
    """Why this layer or product stays in full precision; None if it is quantized."""
    if part_of(detector, name) is None:
        return "in no part of the detector"
    edge_layers: tuple[str, ...] = detector.edge_layers  # type: ignore[assignment]
    if spec.keep_edge_layers and name in edge_layers:
        return "first or last layer"
    for pattern in spec.keep_full_precision:
        if matches(name, pattern):
            return f"pattern {pattern!r}"
    return None
