"""The header of the packed format under its first address."""

from crqat_pipeline.model_files.packed.header import as_json, content_sha256

__all__ = ["as_json", "content_sha256"]
