"""How many steps one tensor gets, and along which axis.

"T": one step for the tensor. "Ch": one per channel. "H": one per attention head. "G<n>": n groups of neighbouring
channels, one step each.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

_GROUPS = re.compile(r"G([1-9][0-9]*)")


def check_granularity(text: str) -> str:
    """The text itself if it names a granularity; raises ValueError otherwise."""
    if text in ("T", "Ch", "H") or _GROUPS.fullmatch(text):
        return text
    raise ValueError(
        f"Unknown granularity {text!r}. Use 'T' (one step per tensor), 'Ch' (per channel), 'H' (per attention head) "
        "or 'G<n>' (n groups of channels, such as 'G4')."
    )


Granularity = Annotated[str, AfterValidator(check_granularity)]


def count_steps(granularity: str, size: int, what: str) -> int:
    """Number of steps for an axis of `size` channels or heads; `what` names the tensor in the error.

    Raises ValueError if the groups do not divide the axis.
    """
    match = _GROUPS.fullmatch(granularity)
    if match is None:
        return 1 if granularity == "T" else size
    groups = int(match.group(1))
    if size % groups:
        divisors = [str(n) for n in range(1, size + 1) if size % n == 0]
        raise ValueError(
            f"Groups must divide the channels; got {groups} groups on {size} channels of {what}. "
            f"Use one of {', '.join(divisors)} groups, 'Ch' or 'T', or keep this layer in full precision."
        )
    return groups
