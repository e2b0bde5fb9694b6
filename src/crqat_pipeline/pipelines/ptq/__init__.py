"""Pipeline `ptq`."""

from crqat_pipeline.pipelines.ptq.pipeline import create_pipeline

__all__ = ["create_pipeline"]
