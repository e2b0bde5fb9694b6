"""How a category of an annotation file is said in words.

Names are the user's: "Truck w/Box" and "screw (bent)" are prompts as they are. Only LVIS and Objects365 have spelling
rules of their own, "bow_(weapon)" and "Cabinet/shelf", and only their records are read by them.
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


def is_lvis_category(category: Mapping[str, Any]) -> bool:
    """Whether a record is LVIS's own: only those name a synset of WordNet."""
    return bool(category.get("synset"))


def prompt_names(category: Mapping[str, Any]) -> tuple[str, ...]:
    """All names of a category, first name first, without repeats.

    The names are the `synonyms` in their order, else `name`; as they are written, or by LVIS's spelling where the
    record is LVIS's. Raises ValueError if no name is left.
    """
    if is_lvis_category(category):
        return spelled_names(category)
    names = tuple(dict.fromkeys(filter(None, (str(entry).strip() for entry in _entries(category)))))
    return _some(names[:1] if category.get("is_phrase") else names, category)


def spelled_names(category: Mapping[str, Any]) -> tuple[str, ...]:
    """The names by the spelling of LVIS and Objects365, without repeats.

    One entry may hold several names: Objects365's "Cabinet/shelf", LVIS's
    "monitor_(computer_equipment) computer_monitor". Raises ValueError if no name is left.
    """
    parts = (part for entry in _entries(category) for part in _SEVERAL_NAMES.split(str(entry)))
    return _some(tuple(dict.fromkeys(filter(None, map(plain_name, parts)))), category)


def _entries(category: Mapping[str, Any]) -> list[Any]:
    return list(category.get("synonyms") or [category.get("name", "")])


def _some(names: tuple[str, ...], category: Mapping[str, Any]) -> tuple[str, ...]:
    if not names:
        raise ValueError(f"Category {dict(category)!r} has no name. Give it a 'name' or 'synonyms'.")
    return names
