"""Pipeline `curriculum`."""

from crqat_pipeline.pipelines.curriculum.pipeline import create_pipeline

__all__ = ["create_pipeline"]
