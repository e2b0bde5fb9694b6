"""Height and width on a command line."""

from __future__ import annotations

import re
from typing import Any

import click


class Sides(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions alone
    """640 (a square) or 384x640 (height x width) -> 640 or (height, width), in pixels."""

    name = "SIDE|HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | tuple[int, int]:
        if isinstance(value, int | tuple):
            return value
        found = re.fullmatch(r"([1-9]\d{0,5})(?:[x×]([1-9]\d{0,5}))?", str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no size. Give the side of a square (640) or height x width (384x640).", param, ctx)
        height, width = int(found[1]), int(found[2] or found[1])
        return height if height == width else (height, width)
