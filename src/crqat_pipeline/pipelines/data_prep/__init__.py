"""Pipeline `data_prep`."""

from crqat_pipeline.pipelines.data_prep.pipeline import create_pipeline

__all__ = ["create_pipeline"]
