"""Values in nested mappings, by the parts of a dotted path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

ABSENT = object()


def value_at(mapping: Any, path: Iterable[str]) -> Any:
    """The value there, or ABSENT."""
    for part in path:
        if not isinstance(mapping, Mapping) or part not in mapping:
            return ABSENT
        mapping = mapping[part]
    return mapping


def with_value(mapping: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """A copy with this value there; what was no mapping on the way becomes one."""
    first, *rest = path
    inner = mapping.get(first)
    inside = inner if isinstance(inner, Mapping) else {}
    return {**mapping, first: with_value(inside, rest, value) if rest else value}
