"""Files whose boxes have categories: Objects365 v2, COCO, LVIS."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from crqat_pipeline.detection_data.box_columns import BoxColumns
from crqat_pipeline.detection_data.sources.layout import SourceLayout
from crqat_pipeline.detection_data.sources.records import SourceRecords, check_count, without_images
from crqat_pipeline.detection_data.sources.sections import Section, kept_box, kept_image, read_sections
from crqat_pipeline.detection_data.sources.source_files import SourceFiles
from crqat_pipeline.detection_data.sources.usable_boxes import usable_boxes
from crqat_pipeline.structures.category_name import spelled_names

SECTIONS: Mapping[str, Section] = MappingProxyType(
    {
        "images": Section(("id", "width", "height"), kept_image),
        "annotations": Section(("id", "image_id", "category_id", "bbox"), kept_box, BoxColumns),
        "categories": Section(("id", "name")),
    }
)


def read_categories(source: str, files: SourceFiles, layout: SourceLayout) -> SourceRecords:
    """Records of one file. Names with a slash ("Cabinet/shelf") become synonyms (see spelled_names).

    Raises ValueError for a file that is not there or no JSON, AnnotationError (all faults, with counts) for sections
    that are missing, another number of categories, and boxes that cannot be used.
    """
    read = read_sections(source, files.annotations, SECTIONS)
    categories = read["categories"]
    check_count(categories, layout.num_categories, files, source)
    known = {category["id"] for category in categories}
    records = SourceRecords(
        images=read["images"],
        annotations=read["annotations"],
        categories=[_category(one, layout) for one in categories],
    )
    without_images(records, (*layout.missing_images, *files.leave_out))
    usable_boxes(
        records,
        files,
        source,
        lambda number: None if number in known else "is of a category that the file does not list",
    )
    return records


def _category(category: dict[str, Any], layout: SourceLayout) -> dict[str, Any]:
    kept: dict[str, Any] = {key: category[key] for key in ("id", "name", "synonyms") if key in category}
    return {**kept, "synonyms": list(spelled_names(kept))} if layout.has_spelled_names else kept
