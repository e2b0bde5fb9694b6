"""Pipeline `crqat_full`."""

from crqat_pipeline.pipelines.crqat_full.pipeline import create_pipeline

__all__ = ["create_pipeline"]
