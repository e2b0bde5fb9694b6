"""Captions whose phrases have boxes, in MDETR's layout: GQA (final_mixed_train_no_coco), Flickr30k (separateGT).

Each image record is one caption; `tokens_positive` of a box lists the [start, end) characters of its phrase.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from crqat_pipeline.detection_data.box_columns import BoxColumns
from crqat_pipeline.detection_data.sources.layout import SourceLayout
from crqat_pipeline.detection_data.sources.records import Record, SourceRecords, check_count, without_images
from crqat_pipeline.detection_data.sources.sections import Section, kept_image, read_sections, referred
from crqat_pipeline.detection_data.sources.source_files import SourceFiles
from crqat_pipeline.detection_data.sources.usable_boxes import usable_boxes

NO_PHRASE = 0
BAD_SPAN = -1
FAULTS: Mapping[int, str] = MappingProxyType(
    {NO_PHRASE: "has an empty phrase", BAD_SPAN: "has a span outside its caption"}
)
"""Category id of a box without a phrase -> what is wrong with it."""


def _captioned(image: Record) -> Record:
    return {**kept_image(image), "caption": str(image["caption"])}


def _spanned(box: Record) -> Record:
    return {
        "id": box["id"],
        "image_id": referred(box["image_id"]),
        "bbox": box["bbox"],
        "iscrowd": box.get("iscrowd", 0),
        "tokens_positive": box["tokens_positive"],
    }


SECTIONS: Mapping[str, Section] = MappingProxyType(
    {
        "images": Section(("id", "file_name", "width", "height", "caption"), _captioned),
        "annotations": Section(("id", "image_id", "bbox", "tokens_positive"), _spanned, BoxColumns),
    }
)


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
    read = read_sections(source, files.annotations, SECTIONS)
    captions = {image["id"]: image.pop("caption") for image in read["images"]}
    numbers: dict[str, int] = {}
    records = SourceRecords(
        images=read["images"],
        annotations=BoxColumns(_numbered(read.pop("annotations"), captions, numbers)),
        categories=[{"id": number, "name": phrase, "is_phrase": True} for phrase, number in numbers.items()],
    )
    without_images(records, (*layout.missing_images, *files.leave_out))
    usable_boxes(records, files, source, FAULTS.get)
    check_count(records.categories, layout.num_categories, files, source)
    return records


def _numbered(boxes: BoxColumns, captions: Mapping[int, str], numbers: dict[str, int]) -> Iterator[Record]:
    """With the number of the phrase as category. numbers: phrase -> number, from 1; new ones are added."""
    for box in boxes:
        try:
            phrase = phrase_of(captions.get(box["image_id"], ""), box.pop("tokens_positive"))
            box["category_id"] = numbers.setdefault(phrase, len(numbers) + 1) if phrase else NO_PHRASE
        except ValueError:
            box["category_id"] = BAD_SPAN
        yield box
