"""Training data in the layouts it is published in, and several of them as one."""

from crqat_pipeline.detection_data.sources.folders import SourceFolders
from crqat_pipeline.detection_data.sources.mixture import SourceMixture
from crqat_pipeline.detection_data.sources.spec import SourceSpec
from crqat_pipeline.detection_data.sources.table import LAYOUTS

__all__ = ["LAYOUTS", "SourceFolders", "SourceMixture", "SourceSpec"]
