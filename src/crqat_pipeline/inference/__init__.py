"""One predictor over every runnable form, and pictures of what it finds (floor 3)."""

from crqat_pipeline.inference.drawing import draw_detections
from crqat_pipeline.inference.image_source import ImageError, ImageSource, open_image
from crqat_pipeline.inference.predictor import Predictor

__all__ = ["ImageError", "ImageSource", "Predictor", "draw_detections", "open_image"]
