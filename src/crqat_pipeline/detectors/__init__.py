"""Open-vocabulary detectors behind one protocol (floor 1)."""

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.detectors.table import DETECTORS, build_detector

__all__ = ["DETECTORS", "OpenVocabularyDetector", "build_detector"]
