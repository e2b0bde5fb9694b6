"""Pipeline `stage2_neck_head`."""

from crqat_pipeline.pipelines.stage2_neck_head.pipeline import create_pipeline

__all__ = ["create_pipeline"]
