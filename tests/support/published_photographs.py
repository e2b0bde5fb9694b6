"""A list of published files in small: two photographs and what the environment `photos` makes its annotations of."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

TRAIN, VAL = (9, 25), (139,)
CATEGORIES = [{"id": 1, "name": "person"}, {"id": 4, "name": "motorcycle"}, {"id": 58, "name": "hot dog"}]
LVIS = [
    {"id": 2, "name": "person", "synset": "person.n.01", "frequency": "f", "synonyms": ["person"], "def": "a human"},
    {"id": 1, "name": "motorcycle", "synset": "motorcycle.n.01", "frequency": "f", "synonyms": ["motorcycle"]},
]
OUTLINE = [[float(number) for number in range(60)]]


def coco_file(split: str, ids: tuple[int, ...]) -> dict[str, Any]:
    """As the COCO Consortium writes it: outlines, categories last, images that nobody asked for among them."""
    known = (*reversed(ids), 777)
    url = f"http://images.cocodataset.org/{split}2017"
    images = [
        {"id": n, "file_name": f"{n:012d}.jpg", "width": 64, "height": 48, "coco_url": f"{url}/{n:012d}.jpg"}
        for n in known
    ]
    box = {"bbox": [1.0, 2.0, 9.0, 8.0], "area": 40.5, "segmentation": OUTLINE}
    boxes = [
        {**box, "id": 100 * n + k, "image_id": n, "category_id": category, "iscrowd": crowd}
        for n in known
        for k, (category, crowd) in enumerate([(1, 0), (58, 0), (4, 1)])
    ]
    head = {"info": {"description": "COCO 2017 Dataset"}, "licenses": [{"id": 1, "name": "a licence"}]}
    return {**head, "images": images, "annotations": boxes, "categories": CATEGORIES}


def archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as opened:
        for split, ids in (("train", TRAIN), ("val", VAL)):
            opened.writestr(f"annotations/instances_{split}2017.json", json.dumps(coco_file(split, ids)))
    return stream.getvalue()


def contents() -> dict[str, bytes]:
    """Address -> content."""
    photographs = {f"train2017/{n:012d}.jpg": bytes([n % 256]) * 5000 for n in TRAIN}
    photographs |= {f"val2017/{n:012d}.jpg": bytes([n % 256]) * 5000 for n in VAL}
    return {"annotations.zip": archive(), "lvis.json": json.dumps(LVIS).encode(), **photographs}


def write_list(path: Path, base: str, served: dict[str, bytes]) -> Path:
    """The list of these files at `base`, in the layout of the environment `photos`."""

    def row(name: str, address: str) -> list[Any]:
        return [name, address, len(served[address]), hashlib.sha256(served[address]).hexdigest()]

    def photographs(split: str, ids: tuple[int, ...], folder: str) -> dict[str, Any]:
        rows = [row(f"{folder}/images/{split}2017/{n:012d}.jpg", f"{split}2017/{n:012d}.jpg") for n in ids]
        return {"what": f"{split} photographs", "licence": "of their photographers", "base": base, "files": rows}

    kept = [{key: one[key] for key in ("id", "name", "synset", "frequency", "synonyms")} for one in reversed(LVIS)]
    zipped, names = "downloads/annotations.zip", "text/lvis.json"
    cuts = [
        {
            "make": "coco_cut",
            "path": f"coco_photos/annotations/instances_{split}.json",
            "archive": zipped,
            "member": f"annotations/instances_{split}2017.json",
            "photographs": f"{split} photographs",
        }
        for split in ("train", "val")
    ]
    document = {
        "sets": [
            {
                "what": "annotations",
                "licence": "CC BY 4.0",
                "base": base,
                "files": [row(zipped, "annotations.zip"), row("downloads/lvis.json", "lvis.json")],
            },
            photographs("train", TRAIN, "coco_photos"),
            photographs("val", VAL, "coco_mini"),
        ],
        "made": [
            *cuts,
            {
                "make": "lvis_categories",
                "path": names,
                "source": "downloads/lvis.json",
                "sha256": hashlib.sha256(json.dumps(kept).encode()).hexdigest(),
            },
            {
                "make": "lvis_boxes",
                "path": "coco_mini/annotations/lvis_style_val.json",
                "annotations": "coco_photos/annotations/instances_val.json",
                "categories": names,
                "below": "coco_mini/images",
            },
        ],
    }
    path.write_text(json.dumps(document), encoding="utf-8")
    return path
