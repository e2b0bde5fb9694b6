"""Pipeline `baselines`."""

from crqat_pipeline.pipelines.baselines.pipeline import create_pipeline

__all__ = ["create_pipeline"]
