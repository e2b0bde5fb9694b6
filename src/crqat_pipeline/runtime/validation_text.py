"""What pydantic has against a value, in short lines: each key with its fault, without web addresses."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

NUM_TOLD = 3
OURS = "Value error, "
"""What pydantic puts before the text of a validator of this project."""

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


def faults_text(error: ValidationError) -> str:
    """`options.version: input should be 1 or 2; bits: field required; and 4 more`."""
    faults = error.errors(include_url=False)
    told = "; ".join(_told(fault["loc"], fault["msg"]) for fault in faults[:NUM_TOLD])
    more = f"; and {len(faults) - NUM_TOLD} more" if len(faults) > NUM_TOLD else ""
    return f"{told}{more}"


def fault_line(path: str, value: Any, message: str) -> str:
    """`study.seeds = [0, 1, 2, ...]: Input should be …`: path, value and message of one fault.

    A whole section is no answer to what was given: the messages about one name the values at fault themselves.
    """
    given = "" if isinstance(value, (Mapping, BaseModel)) and message.startswith(OURS) else f" = {short_value(value)}"
    return f"{path}{given}: {message.removeprefix(OURS).rstrip('.')}."


def short_value(value: Any) -> str:
    """The value as Python writes it, its middle or end left out where it is long."""
    return _SHORT.repr(value)


def _told(location: tuple[int | str, ...], message: str) -> str:
    key = ".".join(map(str, location))[:80]
    ours = message.removeprefix(OURS)
    text = (ours if ours != message else f"{message[:1].lower()}{message[1:]}")[:300].rstrip(".")
    return f"{key}: {text}" if key else text
