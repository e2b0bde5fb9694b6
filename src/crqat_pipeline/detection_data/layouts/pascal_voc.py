"""Pascal VOC's XML files: one per image, an `object` with `name` and `bndbox` (corners in pixels) for every object.

Corners are taken as they are, as LabelImg, CVAT and Roboflow write them; VOC's own count from 1, one pixel further.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.layouts.image_list import image_records
from crqat_pipeline.detection_data.layouts.line_faults import LineFaults

CORNERS = ("xmin", "ymin", "xmax", "ymax")
LARGEST_BYTES = 16 * 2**20
RULE = "A file is an `annotation` of one image, with a `name` and a `bndbox` of four corners for each object."


def read_voc(folder: Path, images: ImageFolder) -> dict[str, Any]:
    """COCO's dictionary of a folder of XML files; categories are numbered in the order of their names.

    A file belongs to the image that its `filename` names, else to the one of its own name. An image without one is a
    photograph without objects. Raises ValueError for all faulty files together.
    """
    faults = LineFaults("Pascal VOC", folder, RULE)
    records = image_records(images)
    by_name = {Path(record["file_name"]).name: record for record in records}
    by_stem = {Path(record["file_name"]).stem: record for record in records}
    objects: list[tuple[int, str, list[float]]] = []
    for file in sorted(folder.rglob("*.xml")):
        if file.name.startswith("."):
            continue
        try:
            root = _root(file)
            name = (root.findtext("filename") or "").replace("\\", "/").rpartition("/")[2]
            record = by_name.get(name) or by_stem.get(file.stem)
            if record is None:
                raise ValueError(f"no image {name or file.stem!r} in {images.root}")
            objects += [(record["id"], *_object(one, number)) for number, one in enumerate(root.iter("object"), 1)]
        except ValueError as error:
            faults.add(file.name, str(error))
    faults.raise_if_any()
    names = sorted({name for _, name, _ in objects})
    if not names:
        raise ValueError(f"No object is annotated in {folder}. {RULE}")
    number_of = {name: number for number, name in enumerate(names, start=1)}
    boxes = [
        {
            "id": number,
            "image_id": image_id,
            "category_id": number_of[name],
            "bbox": bbox,
            "area": max(bbox[2], 0) * max(bbox[3], 0),
            "iscrowd": 0,
        }
        for number, (image_id, name, bbox) in enumerate(objects, start=1)
    ]
    categories = [{"id": number, "name": name} for name, number in number_of.items()]
    return {"images": records, "annotations": boxes, "categories": categories}


def _root(file: Path) -> ElementTree.Element:
    if file.stat().st_size > LARGEST_BYTES:
        raise ValueError(f"is larger than {LARGEST_BYTES >> 20} MB")
    content = file.read_bytes()
    if b"<!ENTITY" in content or b"<!DOCTYPE" in content:
        raise ValueError("declares a document type, which no annotation needs")
    try:
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError) as error:
        raise ValueError(f"is no XML ({error})") from error


def _object(entry: ElementTree.Element, number: int) -> tuple[str, list[float]]:
    name = (entry.findtext("name") or "").strip()
    if not name:
        raise ValueError(f"object {number} has no name")
    try:
        left, top, right, bottom = (float(entry.findtext(f"bndbox/{corner}") or "") for corner in CORNERS)
    except ValueError:
        raise ValueError(f"object {number}, {name!r}, lacks a bndbox of {', '.join(CORNERS)}") from None
    return name, [left, top, right - left, bottom - top]
