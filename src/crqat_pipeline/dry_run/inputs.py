"""Do the files exist, can they be read, how much is in them?"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crqat_pipeline.detection_data.annotation_file import image_file_name
from crqat_pipeline.detection_data.image_folder import ImageFileError, ImageFolder
from crqat_pipeline.detection_data.open_shapes import draw_layout
from crqat_pipeline.detection_data.sources import LAYOUTS, SourceMixture
from crqat_pipeline.dry_run.findings import DryRunReport, count
from crqat_pipeline.dry_run.subject import DryRunSubject, SplitEntry

RENDERED = ("train", "qat", "val")
IMAGES_LOOKED_AT = 200
GB = 2.0**30


@dataclass(frozen=True)
class QatImages:
    """Images with boxes that the QAT stages see. is_estimate: from the published size, not counted."""

    number: int
    is_estimate: bool


def look_at_inputs(subject: DryRunSubject, report: DryRunReport) -> None:
    """Existence and size of every given or earlier made file, and the disk that results go to."""
    rows = []
    for entry in subject.inputs:
        report.missing += [f"{entry.name}: {line}" for line in entry.missing]
        state = "MISSING" if entry.missing else "ok"
        for path in entry.paths or (Path("-"),):
            rows.append((state, entry.name, str(path), _size(path)))
    report.add("Files that are read", ("", "entry", "path", "size"), rows)
    place = next((one for one in (subject.data_root, *subject.data_root.absolute().parents) if one.is_dir()), Path())
    report.notes.append(f"Results go to {subject.data_root}, {shutil.disk_usage(place).free / GB:,.0f} GB free.")


def _size(path: Path) -> str:
    if path.is_dir():
        return "folder"
    return f"{path.stat().st_size / 2**20:,.1f} MB" if path.is_file() else "-"


def count_data(subject: DryRunSubject, report: DryRunReport) -> QatImages | None:
    """Images, boxes and categories of every split; the number of QAT images, None where it cannot be known."""
    rows: list[tuple[str, ...]] = []
    qat: QatImages | None = None
    if subject.fetch_data is not None and subject.fetch_data.open_shapes is not None:
        layout = draw_layout(subject.fetch_data.open_shapes)
        rows += [_row(name, layout.annotations[name], "to be rendered") for name in RENDERED]
        qat = QatImages(_num_with_boxes(layout.annotations["qat"]), False)
    for name, split in subject.splits.items():
        content = _content(name, split, report)
        if isinstance(content, SourceMixture):
            rows += _source_rows(content, split, report)
            qat = _of_mixture(content, report) if name == "qat" else qat
        elif content is not None:
            rows.append(_row(name, content, _found_images(name, content, split, report)))
            qat = QatImages(_num_with_boxes(content), False) if name == "qat" else qat
    if qat is None and subject.qat_set is not None:
        prepared = subject.qat_set()
        qat = QatImages(len(prepared.images), False)
        boxes = count(prepared.images.num_boxes)
        rows.append(("qat", count(len(prepared.images)), boxes, count(len(prepared.categories)), "prepared"))
    report.add("Data", ("split", "images", "boxes", "categories", "image files"), rows)
    limit = subject.data_prep.qat_images if subject.data_prep else None
    return QatImages(min(qat.number, limit), qat.is_estimate) if qat and limit else qat


def _content(name: str, split: SplitEntry, report: DryRunReport) -> Mapping[str, Any] | None:
    try:
        content = split.annotations()
        if not isinstance(content, SourceMixture):
            len(content["annotations"])  # a file with faults says so when its records are used
        return content
    except (ValueError, OSError, RuntimeError) as error:
        report.missing.append(f"{name}: {error}")
    except Exception as error:  # datasets raise their library's own
        report.missing.append(f"{name}: {type(error).__name__}: {error}")
    return None


def _row(name: str, content: Mapping[str, Any], files: str) -> tuple[str, ...]:
    return (name, *(count(len(content[section])) for section in ("images", "annotations", "categories")), files)


def _num_with_boxes(content: Mapping[str, Any]) -> int:
    return len({box["image_id"] for box in content["annotations"] if not box.get("iscrowd", 0)})


def _source_rows(content: SourceMixture, split: SplitEntry, report: DryRunReport) -> list[tuple[str, ...]]:
    """One row per source. A source whose file is missing has a row from its published size; the entry is reported."""
    absent = [name for name, spec in content.sources.items() if not spec.annotations.is_file()]
    rows: list[tuple[str, ...]] = []
    for name in absent:
        published = LAYOUTS[content.sources[name].layout].num_images
        rows.append((f"qat: {name}", count(published, True), "-", "-", "not there; published size"))
    there = {name: spec for name, spec in content.sources.items() if name not in absent}
    if not there:
        return rows
    part = SourceMixture(there) if absent else content
    try:
        facts = part["info"]["sources"]
    except ValueError as error:
        report.missing.append(f"qat: {error}")
        return rows
    files = _found_images("qat", part, split, report)
    for name, one in facts.items():
        rows.append((f"qat: {name}", *(count(one[key]) for key in ("images", "boxes", "categories")), files))
        report.notes += [f"{name} leaves out {reason}: {which}." for reason, which in one["left_out"].items()]
    return rows


def _of_mixture(content: SourceMixture, report: DryRunReport) -> QatImages | None:
    """Counted where every source is there and good, else as published."""
    absent = [spec.layout for spec in content.sources.values() if not spec.annotations.is_file()]
    if not absent and content.is_read:
        return QatImages(_num_with_boxes(content), False)
    return QatImages(sum(LAYOUTS[spec.layout].num_images for spec in content.sources.values()), True)


def _found_images(name: str, content: Mapping[str, Any], split: SplitEntry, report: DryRunReport) -> str:
    """Whether files lie where the annotations say, looking at some of them, evenly spread."""
    try:
        folder: ImageFolder = split.images()
    except Exception as error:
        report.missing.append(f"{name}: images: {error}")
        return "no folder"
    records = content["images"]
    chosen = records[:: max(1, len(records) // IMAGES_LOOKED_AT)]
    absent = []
    for record in chosen:
        file_name = image_file_name(record)
        try:
            if not folder.locate(file_name).is_file():
                absent.append(file_name)
        except ImageFileError as error:
            absent.append(str(error))
    if absent:
        report.missing.append(
            f"{name}: {len(absent)} of {len(chosen)} image files looked at are not in {folder!r}, among them "
            f"{absent[:3]}"
        )
    return f"{len(chosen) - len(absent)} of {len(chosen)} looked at"
