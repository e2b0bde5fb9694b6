"""A folder of photographs like the one that the environment `photos` reads, cut to a few of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_few(source: Path, folder: Path, num_train: int, num_val: int) -> Path:
    """Images, weights and embeddings are links into `source`; annotations name the first photographs only."""
    photos, mini = folder / "coco_photos", folder / "coco_mini"
    for each in (photos, mini):
        (each / "annotations").mkdir(parents=True)
        (each / "images").symlink_to(source / each.name / "images")
    for name in ("nanodet_m", "text"):
        (folder / name).symlink_to(source / name)
    train = _cut(source / "coco_photos/annotations/instances_train.json", num_train)
    val = _cut(source / "coco_photos/annotations/instances_val.json", num_val)
    lvis = _cut(source / "coco_mini/annotations/lvis_style_val.json", num_val)
    for path, content in (
        (photos / "annotations/instances_train.json", train),
        (photos / "annotations/instances_val.json", val),
        (mini / "annotations/lvis_style_val.json", lvis),
    ):
        path.write_text(json.dumps(content), encoding="utf-8")
    return folder


def _cut(path: Path, num_images: int) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    images = content["images"][:num_images]
    ids = {image["id"] for image in images}
    boxes = [box for box in content["annotations"] if box["image_id"] in ids]
    return {**content, "images": images, "annotations": boxes}
