"""Which files a person means by a path: a picture, a video, or all pictures of a folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image

from crqat_pipeline.inference.video import is_video


def expand(paths: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """(file, name for its result): folders give the images and videos in them, recursively, in name order.

    Raises ValueError for a path that does not exist and for a folder without images.
    """
    for path in paths:
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.is_file() and (is_image(file) or is_video(file)))
            if not found:
                raise ValueError(f"No images in folder {path}. Give files such as .jpg or .png.")
            yield from ((file, file.relative_to(path)) for file in found)
        elif path.exists():
            yield path, Path(path.name)
        else:
            raise ValueError(f"No file {path}. Check the path.")


def is_image(path: Path) -> bool:
    """By suffix: any format that Pillow reads."""
    Image.init()
    return path.suffix.lower() in Image.EXTENSION and not is_video(path)
