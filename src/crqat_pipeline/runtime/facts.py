"""What a piece of work depends on, as short texts by name, so that a difference can be told and not only found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

Facts = Mapping[str, str]
"""Dotted name -> a value, or the digest of content."""

DIGEST = "sha256:"
SHOWN = 3


def content_digest(*pieces: str | bytes) -> str:
    """A fact that stands for content, whatever its size: its pieces in this order."""
    whole = hashlib.sha256()
    for piece in pieces:
        data = piece.encode() if isinstance(piece, str) else piece
        whole.update(len(data).to_bytes(8, "big"))
        whole.update(data)
    return f"{DIGEST}{whole.hexdigest()}"


def spec_facts(name: str, spec: BaseModel) -> dict[str, str]:
    """One fact per value that is not at its default, so that an option added later leaves finished work valid."""
    return dict(_flat(name, spec.model_dump(mode="json", exclude_defaults=True)))


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner)
    else:
        yield name, repr(value)


def differences(kept: Facts, wanted: Facts) -> str:
    """Where two sets of facts differ, in words: `threads 1 there, 2 now; images: other content`. Empty where equal."""
    names = [name for name in sorted(kept.keys() | wanted.keys()) if kept.get(name) != wanted.get(name)]
    told = [_told(name, kept.get(name), wanted.get(name)) for name in names[:SHOWN]]
    return "; ".join([*told, f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else told)


def _told(name: str, kept: str | None, wanted: str | None) -> str:
    if (kept or "").startswith(DIGEST) or (wanted or "").startswith(DIGEST):
        return f"{name}: other content"
    return f"{name} {kept or 'not set'} there, {wanted or 'not set'} now"
