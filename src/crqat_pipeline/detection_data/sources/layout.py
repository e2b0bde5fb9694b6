"""What a published layout is: its reader, and what is known of the published file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from crqat_pipeline.detection_data.sources.records import SourceRecords
from crqat_pipeline.detection_data.sources.source_files import SourceFiles


@dataclass(frozen=True)
class SourceLayout:
    """meaning: for people. read: (name of the source, its files, this layout) -> records; ids are those of the file.

    num_images: of the published training file, an estimate for a file that is not there yet. num_categories: of the
    published file, None where files differ. missing_images: ends of names that are annotated and in no download.
    has_spelled_names: names follow spelling rules (several in one, qualifiers, underscores; see spelled_names).
    """

    meaning: str
    read: Callable[[str, SourceFiles, SourceLayout], SourceRecords]
    num_images: int
    num_categories: int | None = None
    missing_images: tuple[str, ...] = ()
    has_spelled_names: bool = False
