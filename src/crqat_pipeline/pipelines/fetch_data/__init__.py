"""Pipeline `fetch_data`."""

from crqat_pipeline.pipelines.fetch_data.pipeline import create_pipeline

__all__ = ["create_pipeline"]
