"""Tiny files in the layouts of Objects365 v2, GQA (MDETR), COCO and LVIS, as conf/yolo_world reads them."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "heart", "moon", "diamond", "arrow")
WORDS = ("plain", "striped", "dotted", *COLOURS, *SHAPES)
"""Of the embedded benchmark's text encoder, so that no CLIP is needed."""
NAMES = [f"{first} {second}" for first, second in product(WORDS, repeat=2)][:365]
WIDTH, HEIGHT = 96, 64
BOX = [10.0, 8.0, 40.0, 30.0]
CAPTION = "A red circle beside the BLUE square, and a star."


def write_image(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def sized(number: int, file_name: str, **facts: Any) -> dict[str, Any]:
    return {"id": number, "file_name": file_name, "width": WIDTH, "height": HEIGHT, **facts}


def objects365(num_images: int = 8) -> dict[str, Any]:
    """Ids from 1, names with folders above the patches, one crowd box, one annotated image that no download has."""
    images = [sized(n, f"images/v1/patch{n % 2}/objects365_v1_{n:08d}.jpg") for n in range(1, num_images + 1)]
    images.append(sized(900, "images/v2/patch16/objects365_v2_00908726.jpg"))
    boxes = [
        {"id": n, "image_id": image["id"], "category_id": 1 + n % 365, "bbox": list(BOX), "iscrowd": 0, "isfake": 0}
        for n, image in enumerate(images, 1)
    ]
    boxes.append({**boxes[0], "id": 500, "iscrowd": 1})
    names = [NAMES[0], "Circle/ring ", *NAMES[2:]]
    return {
        "images": images,
        "annotations": boxes,
        "categories": [{"id": n, "name": v} for n, v in enumerate(names, 1)],
    }


def grounding(num_images: int = 4) -> dict[str, Any]:
    """Captions with three phrases; image and box ids start at 0, as MDETR's do."""
    images = [sized(n, f"{n}.jpg", caption=CAPTION, dataset_name="mixed", original_id=n) for n in range(num_images)]
    spans = [[[2, 12]], [[24, 28], [29, 35]], [[43, 47]]]
    boxes = [
        {"id": 3 * n + k, "image_id": n, "category_id": 1, "bbox": list(BOX), "iscrowd": 0, "tokens_positive": span}
        for n in range(num_images)
        for k, span in enumerate(spans)
    ]
    return {
        "images": images,
        "annotations": boxes,
        "categories": [{"supercategory": "object", "id": 1, "name": "object"}],
    }


def coco(num_images: int = 3) -> dict[str, Any]:
    url = "http://images.cocodataset.org/val2017"
    images = [sized(n, f"{n:012d}.jpg", coco_url=f"{url}/{n:012d}.jpg") for n in range(1, num_images + 1)]
    boxes = [
        {"id": n, "image_id": n, "category_id": 1, "bbox": list(BOX), "area": 1200.0, "iscrowd": 0} for n in (1, 2)
    ]
    return {
        "images": images,
        "annotations": boxes,
        "categories": [{"id": 1, "name": "red circle"}, {"id": 3, "name": "star"}],
    }


def lvis() -> dict[str, Any]:
    """Fewer images than COCO's, named by their URL alone."""
    content = coco()
    images = [
        {key: value for key, value in image.items() if key != "file_name"}
        | {"neg_category_ids": [2], "not_exhaustive_category_ids": []}
        for image in content["images"][:2]
    ]
    categories = [
        {"id": 1, "name": "red_circle", "synset": "circle.n.01", "synonyms": ["red_circle"], "frequency": "f"},
        {"id": 2, "name": "star_(shape)", "synset": "star.n.01", "synonyms": ["star_(shape)"], "frequency": "r"},
    ]
    return {"images": images, "annotations": content["annotations"], "categories": categories}


def write_datasets(root: Path) -> Path:
    """All four with their images; returns the root."""
    files = {
        "objects365v2/zhiyuan_objv2_train.json": objects365(),
        "gqa/final_mixed_train_no_coco.json": grounding(),
        "coco/annotations/instances_val2017.json": coco(),
        "lvis/lvis_v1_minival_inserted_image_name.json": lvis(),
    }
    for name, content in files.items():
        write_json(root / name, content)
    for image in objects365()["images"][:-1]:
        write_image(root / "objects365v2/train" / image["file_name"].removeprefix("images/v1/"), image["id"])
    for image in grounding()["images"]:
        write_image(root / "gqa/images" / image["file_name"], 100 + image["id"])
    for image in coco()["images"]:
        write_image(root / "coco/val2017" / image["file_name"], 200 + image["id"])
    return root
