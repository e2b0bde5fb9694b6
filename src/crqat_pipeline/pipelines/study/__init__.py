"""Pipeline `study`."""

from crqat_pipeline.pipelines.study.pipeline import create_pipeline

__all__ = ["create_pipeline"]
