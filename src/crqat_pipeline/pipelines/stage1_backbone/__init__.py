"""Pipeline `stage1_backbone`."""

from crqat_pipeline.pipelines.stage1_backbone.pipeline import create_pipeline

__all__ = ["create_pipeline"]
