"""The packed format under its first address; it lives in `model_files.packed`."""

from crqat_pipeline.model_files.packed import (
    PackedEntry,
    PackedModel,
    PackedReport,
    manifest,
    read_packed,
    write_packed,
)

__all__ = ["PackedEntry", "PackedModel", "PackedReport", "manifest", "read_packed", "write_packed"]
