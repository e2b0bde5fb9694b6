"""YOLO's text files: one per image, a line per object, `class x y width height` as shares of the image.

x and y are the centre. A line of a polygon (segmentation) has more pairs; its box is taken. The names of the classes
stand in classes.txt, obj.names or a data.yaml beside the labels or the images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.layouts.image_list import image_records
from crqat_pipeline.detection_data.layouts.line_faults import LineFaults
from crqat_pipeline.runtime.bounded_yaml import parse_yaml

NAME_LISTS = ("classes.txt", "obj.names", "data.yaml", "dataset.yaml")
LEVELS_ABOVE = 3
RULE = "A line is `class x y width height`, shares of the image from 0 to 1; a class is a row of the list of names."


def read_yolo(labels: Path, images: ImageFolder, name_list: Path | None = None) -> dict[str, Any]:
    """COCO's dictionary of a folder of labels; category ids are class numbers plus one.

    An image without a text file is a photograph without objects. Raises ValueError for names that are not there, and
    for all faulty lines together.
    """
    names = read_names(name_list or _find_names(labels, images.root))
    faults = LineFaults("YOLO", labels, RULE)
    records = image_records(images)
    files = {file.relative_to(labels).with_suffix("").as_posix(): file for file in labels.rglob("*.txt")}
    files = {key: file for key, file in files.items() if file.name not in NAME_LISTS and not file.name.startswith(".")}
    boxes: list[dict[str, Any]] = []
    used = set()
    for record in records:
        stem = PurePosixPath(record["file_name"]).with_suffix("")
        key = next((each for each in (stem.as_posix(), stem.name) if each in files), None)
        if key is None:
            continue
        used.add(key)
        boxes += _boxes(files[key], record, names, len(boxes), faults)
    for key in sorted(files.keys() - used):
        faults.add(files[key].name, f"no image of that name in {images.root}")
    faults.raise_if_any()
    categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    return {"images": records, "annotations": boxes, "categories": categories}


def read_names(path: Path) -> list[str]:
    """Class names in the order of their numbers: a line each, or `names` of a YAML file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix not in (".yaml", ".yml"):
            names: Any = [line.strip() for line in text.splitlines() if line.strip()]
        else:
            content = parse_yaml(text, path)
            names = content.get("names") if isinstance(content, dict) else None
            if isinstance(names, dict) and set(names) == set(range(len(names))):
                names = [names[number] for number in range(len(names))]
    except (OSError, ValueError) as error:
        raise ValueError(f"Names of classes must be readable text; {path} is not: {error}.") from error
    if not isinstance(names, list) or not names or not all(isinstance(name, str | int) for name in names):
        raise ValueError(f"{path} must name every class: a name a line, or `names` as a list; got {names!r:.80}.")
    return [str(name) for name in names]


def _find_names(labels: Path, images: Path) -> Path:
    folders = dict.fromkeys(
        above for start in (labels.absolute(), images.absolute()) for above in [start, *start.parents][:LEVELS_ABOVE]
    )
    for folder in folders:
        for name in NAME_LISTS:
            if (folder / name).is_file():
                return folder / name
    raise ValueError(
        f"YOLO's labels number their classes, and no list of names is beside {labels}. Write {labels / NAME_LISTS[0]}, "
        "a name a line, or put the data.yaml there."
    )


def _boxes(
    file: Path, image: dict[str, Any], names: Sequence[str], before: int, faults: LineFaults
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        faults.add(file.name, f"is no text in UTF-8 ({error})")
        return found
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            label, left, top, width, height = _box(line.split(), len(names))
        except ValueError as error:
            faults.add(f"{file.name}, line {number}", f"{error}; got {line.strip():.60}")
            continue
        scale_x, scale_y = image["width"], image["height"]
        bbox = [left * scale_x, top * scale_y, width * scale_x, height * scale_y]
        identity = {"id": before + len(found) + 1, "image_id": image["id"], "category_id": label + 1}
        found.append({**identity, "bbox": bbox, "area": max(bbox[2], 0) * max(bbox[3], 0), "iscrowd": 0})
    return found


def _box(fields: Sequence[str], num_names: int) -> tuple[int, float, float, float, float]:
    """Class, then left, top, width and height as shares."""
    try:
        values = [float(field) for field in fields]
    except ValueError:
        raise ValueError("fields must be numbers") from None
    if not values[0].is_integer() or not 0 <= values[0] < num_names:
        raise ValueError(f"the class must be from 0 to {num_names - 1}")
    shares = values[1:]
    if len(shares) != 4 and (len(shares) < 6 or len(shares) % 2):
        raise ValueError("a box has four numbers behind its class, a polygon three pairs or more")
    if not all(math.isfinite(share) and -0.5 <= share <= 1.5 for share in shares):
        raise ValueError("shares lie from 0 to 1; pixels are divided by the image's size")
    if len(shares) == 4:
        x, y, width, height = shares
        return int(values[0]), x - width / 2, y - height / 2, width, height
    left, top = min(shares[::2]), min(shares[1::2])
    return int(values[0]), left, top, max(shares[::2]) - left, max(shares[1::2]) - top
