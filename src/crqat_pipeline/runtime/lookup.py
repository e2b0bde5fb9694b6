"""Look a name up in a table, with a helpful refusal."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")
NUM_TOLD = 24


def near_name(name: str, choices: Iterable[str]) -> str | None:
    """The choice that is spelled most like `name`, where one is near."""
    near = difflib.get_close_matches(name, sorted(choices), n=1)
    return near[0] if near else None


def look_up(table: Mapping[str, Value], name: str, what: str) -> Value:
    """table[name]; raises ValueError that lists the choices (of many, the first ones) and the nearest one."""
    if name in table:
        return table[name]
    near = near_name(name, table)
    hint = f" Did you mean {near!r}?" if near else ""
    names = sorted(table)
    more = f" and {len(names) - NUM_TOLD} more" if len(names) > NUM_TOLD else ""
    raise ValueError(f"Unknown {what} {name!r}.{hint} Choose one of: {', '.join(names[:NUM_TOLD])}{more}.")
