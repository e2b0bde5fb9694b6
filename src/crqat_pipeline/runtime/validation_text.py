"""What pydantic has against a value, in one line: each key with its fault, without web addresses."""

from __future__ import annotations

from pydantic import ValidationError

NUM_TOLD = 3


def faults_text(error: ValidationError) -> str:
    """`options.version: input should be 1 or 2; bits: field required; and 4 more`."""
    faults = error.errors(include_url=False)
    told = "; ".join(_told(fault["loc"], fault["msg"]) for fault in faults[:NUM_TOLD])
    more = f"; and {len(faults) - NUM_TOLD} more" if len(faults) > NUM_TOLD else ""
    return f"{told}{more}"


def _told(location: tuple[int | str, ...], message: str) -> str:
    key = ".".join(map(str, location))[:80]
    ours = message.removeprefix("Value error, ")  # of a validator of this project
    text = (ours if ours != message else f"{message[:1].lower()}{message[1:]}")[:300]
    return f"{key}: {text}" if key else text
