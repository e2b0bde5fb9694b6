"""Captions whose phrases have boxes, in MDETR's layout: GQA (final_mixed_train_no_coco), Flickr30k (separateGT).

Each image record is one caption; `tokens_positive` of a box lists the [start, end) characters of its phrase.
"""

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

NO_PHRASE = "has an empty phrase"
BAD_SPAN = "has a span outside its caption"


def phrase_of(caption: str, spans: Any) -> str:
    """The text of a box's spans, joined, in lower case and with single spaces; "" where nothing is left.

    Raises ValueError for a span that is no range within the caption.
    """
    parts = []
    for span in spans if isinstance(spans, list) else [spans]:
        if not (isinstance(span, list) and len(span) == 2 and all(type(end) is int for end in span)):
            raise ValueError(f"A span is [start, end]; got {span!r}.")
        start, stop = span
        if not 0 <= start < stop <= len(caption):
            raise ValueError(f"A span lies within its caption of {len(caption)} characters; got [{start}, {stop}].")
        parts.append(caption[start:stop])
    return " ".join(" ".join(parts).lower().split())


def read_grounding(source: str, files: SourceFiles, layout: SourceLayout) -> SourceRecords:
    """Records of one file: every different phrase is a category of its own, in order of appearance.

    Raises ValueError for a file that is not there or no JSON, AnnotationError (all faults, with counts) for records
    without caption or spans, empty phrases, spans outside their caption, and boxes that cannot be used.
    """
    content = read_json_annotations(files.annotations)
    images, boxes = section(content, "images", source), section(content, "annotations", source)
    require_fields(images, "images", ("id", "file_name", "width", "height", "caption"), source)
    require_fields(boxes, "annotations", ("id", "image_id", "bbox", "tokens_positive"), source)
    captions = {image["id"]: str(image["caption"]) for image in images}
    numbers: dict[str, int] = {}
    faults: dict[int, str] = {}
    annotations = []
    for box in boxes:
        phrase = ""
        try:
            phrase = phrase_of(captions.get(box["image_id"], ""), box["tokens_positive"])
            if not phrase:
                faults[box["id"]] = NO_PHRASE
        except ValueError:
            faults[box["id"]] = BAD_SPAN
        annotations.append(
            {
                "id": box["id"],
                "image_id": box["image_id"],
                "category_id": numbers.setdefault(phrase, len(numbers) + 1) if phrase else 0,
                "bbox": box["bbox"],
                "iscrowd": box.get("iscrowd", 0),
            }
        )
    records = SourceRecords(
        images=[
            {"id": one["id"], "file_name": image_file_name(one), "width": one["width"], "height": one["height"]}
            for one in images
        ],
        annotations=annotations,
        categories=[{"id": number, "name": phrase, "is_phrase": True} for phrase, number in numbers.items()],
    )
    without_images(records, (*layout.missing_images, *files.leave_out))
    usable_boxes(records, files, source, lambda box: faults.get(box["id"]))
    check_count(records.categories, layout.num_categories, files, source)
    return records
