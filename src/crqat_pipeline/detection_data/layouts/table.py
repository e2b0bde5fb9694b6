"""Which layout a file or folder of annotations has, and its reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crqat_pipeline.detection_data.annotation_file import read_json_annotations
from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.layouts.pascal_voc import read_voc
from crqat_pipeline.detection_data.layouts.yolo_txt import NAME_LISTS, read_yolo

YAML = (".yaml", ".yml")


def read_annotations(path: Path, images: ImageFolder) -> dict[str, Any]:
    """COCO's dictionary of a COCO JSON, a folder of YOLO's text files or its data.yaml, or a folder of VOC's XML files.

    Raises ValueError for what is none of these, and what the readers raise.
    """
    if path.is_file() and path.suffix in YAML:
        return read_yolo(labels_of(images.root), images, path)
    if not path.is_dir():
        return read_json_annotations(path)
    if _has(path, "*.xml"):
        return read_voc(path, images)
    if _has(path, "*.txt"):
        return read_yolo(path, images)
    files = sorted(path.glob("*.json"))
    if len(files) == 1:
        return read_json_annotations(files[0])
    raise ValueError(
        "Annotations are a COCO JSON, a folder of YOLO's .txt files, or a folder of Pascal VOC's .xml files; in "
        f"{path} are {f'{len(files)} JSON files' if files else 'none of these'}. Name the file."
    )


def is_coco(path: Path) -> bool:
    """Whether a path is read as COCO's JSON, where it lies."""
    return path.is_file() and path.suffix not in YAML


def labels_of(images: Path) -> Path:
    """Where YOLO's tools look for the labels of a folder of images: its last part `images` as `labels`, else itself."""
    parts = list(images.absolute().parts)
    if "images" in parts:
        last = len(parts) - 1 - parts[::-1].index("images")
        labels = Path(*parts[:last], "labels", *parts[last + 1 :])
        if labels.is_dir():
            return labels
    return images


def _has(folder: Path, pattern: str) -> bool:
    return any(not file.name.startswith(".") and file.name not in NAME_LISTS for file in folder.rglob(pattern))
