"""What may stand where a file could: the address of a picture in the web, a camera, a stream."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

WEB = ("http://", "https://")
STREAM = ("rtsp://", "rtsps://")
CAMERA = re.compile(r"camera:(\d{1,3})")


@dataclass(frozen=True)
class Address:
    """text: as the user wrote it."""

    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def is_live(self) -> bool:
        """A camera or stream, which gives frames until somebody stops it."""
        return self.text.startswith(STREAM) or CAMERA.fullmatch(self.text) is not None

    @property
    def camera(self) -> int | None:
        """Number of the camera, None for what is none."""
        found = CAMERA.fullmatch(self.text)
        return None if found is None else int(found[1])

    @property
    def name(self) -> Path:
        """A name for its result."""
        if self.is_live:
            return Path(re.sub(r"[^A-Za-z0-9]+", "_", self.text.rpartition("@")[2]).strip("_"))
        last = unquote(urlsplit(self.text).path).rpartition("/")[2]
        return Path(re.sub(r"[^\w.-]+", "_", last).lstrip(".") or "picture")

    def stat(self) -> os.stat_result:
        """Nothing is known of an address before it is looked at, as of a file that is not there."""
        raise FileNotFoundError(self.text)


def read_given(texts: tuple[str, ...]) -> tuple[list[Path], list[Address]]:
    """Paths and addresses of what was given, in its order. Raises ValueError for an address of another kind."""
    paths, addresses = [], []
    for text in texts:
        if text.startswith((*WEB, *STREAM)) or CAMERA.fullmatch(text):
            addresses.append(Address(text))
        elif "://" in text:
            kinds = ", ".join((*WEB, *STREAM, "camera:0"))
            raise ValueError(f"An address begins with {kinds}; got {text}. Fetch it yourself and give the file.")
        else:
            paths.append(Path(text))
    return paths, addresses
