"""Published data by a list of public addresses with digests: what is missing, fetching it, what is made of it."""

from crqat_pipeline.detection_data.published.fetch import (
    PublishedFilesError,
    describe,
    fetch_published,
    look_before,
    missing_in,
)
from crqat_pipeline.detection_data.published.file_list import PublishedFiles, read_file_list
from crqat_pipeline.detection_data.published.spec import PublishedSpec

__all__ = [
    "PublishedFiles",
    "PublishedFilesError",
    "PublishedSpec",
    "describe",
    "fetch_published",
    "look_before",
    "missing_in",
    "read_file_list",
]
