"""Pipeline `int4_export`."""

from crqat_pipeline.pipelines.int4_export.pipeline import create_pipeline

__all__ = ["create_pipeline"]
