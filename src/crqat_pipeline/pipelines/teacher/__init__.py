"""Pipeline `teacher`."""

from crqat_pipeline.pipelines.teacher.pipeline import create_pipeline

__all__ = ["create_pipeline"]
