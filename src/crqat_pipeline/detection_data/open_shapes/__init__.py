"""The embedded benchmark: rendered scenes of attribute-composed objects with held-out compositions."""

from crqat_pipeline.detection_data.open_shapes.categories import WORDS
from crqat_pipeline.detection_data.open_shapes.layout import OpenShapes, RenderedSplit, draw_layout, render_file
from crqat_pipeline.detection_data.open_shapes.spec import OpenShapesSpec

__all__ = ["WORDS", "OpenShapes", "OpenShapesSpec", "RenderedSplit", "draw_layout", "render_file"]
