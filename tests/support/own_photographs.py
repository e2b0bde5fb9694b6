"""A folder of a few drawn photographs with boxes of three classes, and embeddings of their names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NAMES = ("red lamp", "stray cat", "tin can")
SIZE = (96, 64)


def write_photographs(folder: Path, num_images: int = 12, seed: int = 0) -> Path:
    """images/, train.json (COCO), words.npy and words.json; every image has one box, the first ten of class 1 or 2."""
    random = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for number in range(1, num_images + 1):
        name = f"{number:03d}.png"
        pixels = random.integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
        label = 3 if number > 10 else 1 + number % 2
        left, top, side = (int(value) for value in (*random.integers(2, 20, 2), random.integers(24, 40)))
        pixels[top : top + side, left : left + side] = 80 * label
        Image.fromarray(pixels).save(folder / "images" / name)
        images.append({"id": number, "file_name": name, "width": SIZE[0], "height": SIZE[1]})
        box = {"id": number, "image_id": number, "category_id": label, "bbox": [left, top, side, side]}
        boxes.append({**box, "area": side * side, "iscrowd": 0})
    categories = [{"id": row, "name": name} for row, name in enumerate(NAMES, start=1)]
    content = {"images": images, "annotations": boxes, "categories": categories}
    (folder / "train.json").write_text(json.dumps(content), encoding="utf-8")
    np.save(folder / "words.npy", np.eye(len(NAMES), 64, dtype=np.float32))
    (folder / "words.json").write_text(json.dumps(NAMES), encoding="utf-8")
    return folder
