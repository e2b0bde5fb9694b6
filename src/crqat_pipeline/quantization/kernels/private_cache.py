"""A folder of the user's own for compiled code: what lies in it is executed, so nobody else may write there."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

FOLDER = "crqat_pipeline"
OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def private_folder() -> tuple[Path, str]:
    """The folder, and why it is not the usual one if it is not ("" if it is).

    The usual one is $XDG_CACHE_HOME/crqat_pipeline (default ~/.cache): made for its owner alone, and refused if it is a
    link, belongs to another user or can be written by others. Then, and where there is none, a temporary folder serves
    for this process. Raises OSError if not even that can be made.
    """
    try:
        root = os.environ.get("XDG_CACHE_HOME")
        folder = (Path(root) if root else Path.home() / ".cache") / FOLDER
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        reason = _not_private(folder.lstat(), is_folder=True)
        if not reason and not os.access(folder, os.W_OK | os.X_OK):
            reason = "it cannot be written"
        if not reason:
            return folder, ""
        reason = f"{folder} is not used for compiled code: {reason}"
    except (OSError, RuntimeError) as error:  # RuntimeError: nobody knows a home folder
        reason = f"no cache folder for compiled code ({error})"
    temporary = Path(tempfile.mkdtemp(prefix=f"{FOLDER}-"))
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    return temporary, reason


def verified(path: Path) -> bool:
    """True for a plain file of our own, closed to others, whose content has the digest that its name ends with."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    with os.fdopen(descriptor, "rb") as file:
        if _not_private(os.fstat(file.fileno()), is_folder=False):
            return False
        return path.stem.rpartition("-")[2] == content_digest(file.read())


def content_digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _not_private(facts: os.stat_result, *, is_folder: bool) -> str:
    """What is wrong with the owner, kind or mode of a place; "" if nothing is."""
    if not (stat.S_ISDIR if is_folder else stat.S_ISREG)(facts.st_mode):
        return "it is a link" if stat.S_ISLNK(facts.st_mode) else "it is of another kind"
    if hasattr(os, "getuid") and facts.st_uid != os.getuid():
        return "it belongs to another user"
    if facts.st_mode & OTHERS_MAY_WRITE:
        return "other users may write there"
    return ""
