"""Files that are used together must mean the same by an id: categories of training and validation, images of both
validation files.

Detections are made of training and validation ids alike, so a category that is 1 here and 2 there would be trained with
the prompt of another, and nothing would show it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from crqat_pipeline.detection_data.annotation_faults import Fault
from crqat_pipeline.detection_data.annotation_file import AnnotationFile, image_file_name

Record = Mapping[str, Any]

DISAGREE = "files disagree"


def records_of(annotations: Record) -> Record:
    """The sound records, without a complaint about the others."""
    return annotations.records.content if isinstance(annotations, AnnotationFile) else annotations


def category_faults(annotations: Record, reference: Record, reference_name: str) -> Iterator[Fault]:
    """Categories whose id or name means something else in the reference file, or nothing.

    A file of several sources, whose prompts are its own, agrees with everything.
    """
    own, other = _names(annotations), _names(reference)
    if any("scope" in category for category in records_of(annotations).get("categories") or ()):
        return
    nowhere = f"is not in {reference_name}, whose names are the prompts"
    for text in _disagreements("category", own, other, reference_name, nowhere):
        yield Fault(DISAGREE, f"{text}. Give every name the same id in all files")


def image_faults(annotations: Record, reference: Record, reference_name: str) -> Iterator[Fault]:
    """Images whose id is another image's in the reference file, or nobody's."""
    own, other = _files(annotations), _files(reference)
    nowhere = f"is not in {reference_name}, whose images are looked at"
    for text in _disagreements("image", own, other, reference_name, nowhere):
        yield Fault(DISAGREE, f"{text}. Give every image the same id in both files")


def _disagreements(
    kind: str, own: Mapping[int, str], other: Mapping[int, str], reference_name: str, nowhere: str
) -> Iterator[str]:
    """What is wrong with each number and name of `own` that `other` does not have together."""
    ids = {name: number for number, name in other.items()}
    for number, name in own.items():
        if other.get(number) == name:
            continue
        if number in other:
            where = f"; {name!r} is {ids[name]} there" if name in ids else ""
            yield f"{kind} {number} is {name!r} here and {other[number]!r} in {reference_name}{where}"
        elif name in ids:
            yield f"{kind} {name!r} is {number} here and {ids[name]} in {reference_name}"
        else:
            yield f"{kind} {number}, {name!r}, {nowhere}"


def _names(annotations: Record) -> dict[int, str]:
    rows = records_of(annotations).get("categories")
    return {one["id"]: one["name"] for one in rows if "id" in one and "name" in one} if isinstance(rows, list) else {}


def _files(annotations: Record) -> dict[int, str]:
    """Image id -> the last part of its name: LVIS names the folder, COCO does not."""
    rows = records_of(annotations).get("images")
    named = [one for one in rows if "file_name" in one or "coco_url" in one] if isinstance(rows, list) else []
    return {one["id"]: PurePosixPath(image_file_name(one)).name for one in named}
