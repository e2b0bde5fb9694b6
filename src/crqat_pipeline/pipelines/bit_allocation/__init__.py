"""Pipeline `bit_allocation`."""

from crqat_pipeline.pipelines.bit_allocation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
