"""How a category of an annotation file is said in words.

Annotation files write "bow_(weapon)" or "Cabinet/shelf"; a text encoder is given "bow" or "Cabinet".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_QUALIFIER = re.compile(r"[ _]*\([^)]*\)")
_SEVERAL_NAMES = re.compile(r"(?<=\)) +|/")


def plain_name(raw: str) -> str:
    """Drop a parenthesised qualifier and turn underscores into spaces: "bow_(weapon)" -> "bow"."""
    return " ".join(_QUALIFIER.sub("", raw).replace("_", " ").split())


def prompt_names(category: Mapping[str, Any]) -> tuple[str, ...]:
    """All names of a category, first name first, without repeats.

    The names are LVIS's `synonyms` in their order, else `name`. One entry may hold several names: Objects365's
    "Cabinet/shelf", LVIS's "monitor_(computer_equipment) computer_monitor". A phrase of a caption is said as it is.
    Raises ValueError if no name is left.
    """
    entries = category.get("synonyms") or [category.get("name", "")]
    if category.get("is_phrase") and str(entries[0]).strip():
        return (str(entries[0]),)
    parts = (part for entry in entries for part in _SEVERAL_NAMES.split(str(entry)))
    names = tuple(dict.fromkeys(filter(None, map(plain_name, parts))))
    if not names:
        raise ValueError(f"Category {dict(category)!r} has no name. Give it a 'name' or 'synonyms'.")
    return names
