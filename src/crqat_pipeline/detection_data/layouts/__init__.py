"""Folders of annotations as tools write them, read into the one layout of COCO."""

from crqat_pipeline.detection_data.layouts.table import read_annotations

__all__ = ["read_annotations"]
