"""Files whose boxes have categories: Objects365 v2, COCO, LVIS."""

from __future__ import annotations

from typing import Any

from crqat_pipeline.detection_data.annotation_file import image_file_name, read_json_annotations
from crqat_pipeline.detection_data.sources.layout import SourceLayout
from crqat_pipeline.detection_data.sources.records import (
    SourceRecords,
    check_count,
    require_fields,
    section,
    usable_boxes,
    without_images,
)
from crqat_pipeline.detection_data.sources.source_files import SourceFiles
from crqat_pipeline.structures.category_name import spelled_names


def read_categories(source: str, files: SourceFiles, layout: SourceLayout) -> SourceRecords:
    """Records of one file. Names with a slash ("Cabinet/shelf") become synonyms (see spelled_names).

    Raises ValueError for a file that is not there or no JSON, AnnotationError (all faults, with counts) for sections
    that are missing, another number of categories, and boxes that cannot be used.
    """
    content = read_json_annotations(files.annotations)
    images, boxes, categories = (section(content, name, source) for name in ("images", "annotations", "categories"))
    require_fields(images, "images", ("id", "width", "height"), source)
    require_fields(boxes, "annotations", ("id", "image_id", "category_id", "bbox"), source)
    require_fields(categories, "categories", ("id", "name"), source)
    check_count(categories, layout.num_categories, files, source)
    known = {category["id"] for category in categories}
    records = SourceRecords(
        images=[
            {
                "id": image["id"],
                "file_name": image_file_name(image),
                "width": image["width"],
                "height": image["height"],
            }
            for image in images
        ],
        annotations=[
            {
                "id": box["id"],
                "image_id": box["image_id"],
                "category_id": box["category_id"],
                "bbox": box["bbox"],
                "iscrowd": box.get("iscrowd", 0),
            }
            for box in boxes
        ],
        categories=[_category(one, layout) for one in categories],
    )
    without_images(records, (*layout.missing_images, *files.leave_out))
    usable_boxes(
        records,
        files,
        source,
        lambda box: None if box["category_id"] in known else "is of a category that the file does not list",
    )
    return records


def _category(category: dict[str, Any], layout: SourceLayout) -> dict[str, Any]:
    kept: dict[str, Any] = {key: category[key] for key in ("id", "name", "synonyms") if key in category}
    return {**kept, "synonyms": list(spelled_names(kept))} if layout.has_spelled_names else kept
