"""A file of the web appears under its name only when its content has the digest that was asked for."""

from __future__ import annotations

import hashlib
from pathlib import Path

from crqat_pipeline.runtime.resumable import fetch_resumable


class WrongDigestError(ValueError):
    """What a server sent is not what was asked for; nothing was kept."""


def sha256_of(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch_verified(url: str, target: Path, partial: Path, expected: str | None) -> str:
    """Fetch `url` by way of `partial`, which an earlier attempt may have begun; returns the digest.

    expected: sha256 in small hex digits; None takes any content. Raises OSError when the server refuses or the
    connection ends (what has come stays in `partial`), WrongDigestError for another content.
    """
    fetch_resumable(url, partial)
    digest = sha256_of(partial)
    if expected is not None and digest != expected:
        partial.unlink()
        raise WrongDigestError(f"{url} has sha256 {digest}, not {expected}.")
    partial.replace(target)
    return digest
