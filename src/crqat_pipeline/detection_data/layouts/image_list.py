"""The images of a folder as records of COCO, with the sizes that their files have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.image_reading import is_image_name, size_of


def image_records(images: ImageFolder) -> list[dict[str, Any]]:
    """Every image below the folder in name order, numbered from 1. Raises ValueError for none, ImageError for a broken
    one.
    """
    files = sorted(file for file in images.root.rglob("*") if is_meant(file, images.root))
    if not files:
        raise ValueError(f"No images in folder {images.root}. Give files such as .jpg or .png.")
    records = []
    for number, file in enumerate(files, start=1):
        width, height = size_of(file, images.exif_orientation)
        name = file.relative_to(images.root).as_posix()
        records.append({"id": number, "file_name": name, "width": width, "height": height})
    return records


def is_meant(file: Path, root: Path) -> bool:
    """An image that is not hidden, in a folder that is not hidden."""
    return is_image_name(file) and not any(part.startswith(".") for part in file.relative_to(root).parts)
