"""Which files a person means by a path: a picture, a video, or all pictures of a folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from crqat_pipeline.detection_data.image_reading import is_image_name
from crqat_pipeline.inference.video import is_video

MACOS_FOLDER = "__MACOSX"


def expand(paths: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """(file, name for its result): folders give the images and videos in them, recursively, in name order.

    Hidden files and folders are not looked into. Raises ValueError for a path that does not exist and for a folder
    without images.
    """
    for path in paths:
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if _is_meant(file, path))
            if not found:
                raise ValueError(f"No images in folder {path}. Give files such as .jpg or .png.")
            yield from ((file, file.relative_to(path)) for file in found)
        elif path.exists():
            yield path, Path(path.name)
        else:
            raise ValueError(f"No file {path}. Check the path.")


def is_image(path: Path) -> bool:
    """By suffix: the raster formats that are opened (image_reading.FORMATS)."""
    return is_image_name(path)


def _is_meant(file: Path, folder: Path) -> bool:
    is_hidden = any(part.startswith(".") or part == MACOS_FOLDER for part in file.relative_to(folder).parts)
    return not is_hidden and (is_image(file) or is_video(file)) and file.is_file()
