"""Reading weight files of any origin without running what is in them, and fetching them."""

from crqat_pipeline.detectors.weights.contents import WeightFile, read_weights
from crqat_pipeline.detectors.weights.download import local_file
from crqat_pipeline.detectors.weights.outcome import LoadReport, WeightsRefused

__all__ = ["LoadReport", "WeightFile", "WeightsRefused", "local_file", "read_weights"]
