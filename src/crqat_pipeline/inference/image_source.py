"""The image reader of this project, where callers of the predictor look for it."""

from __future__ import annotations

from crqat_pipeline.detection_data.image_reading import MAX_PIXELS, ImageError, ImageSource, open_image

__all__ = ["MAX_PIXELS", "ImageError", "ImageSource", "open_image"]
