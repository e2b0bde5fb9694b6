"""Pipeline `vocabulary_kd`."""

from crqat_pipeline.pipelines.vocabulary_kd.pipeline import create_pipeline

__all__ = ["create_pipeline"]
