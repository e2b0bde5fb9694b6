"""An image of which only the sides matter: where boxes end up is known without decoding a file."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True)
class Outline:
    """Sides in pixels, under the names that an image has for them."""

    width: int
    height: int

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height


Picture = Image.Image | Outline
"""What geometry is done with. Pixels are asked for by whoever knows that there are some."""
