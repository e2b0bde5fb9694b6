"""Open-vocabulary detectors behind one protocol (floor 1)."""

from crqat_pipeline.detectors.family import DetectorFamily
from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.detectors.table import FAMILIES, build_detector, detector_families, family_of

__all__ = ["FAMILIES", "DetectorFamily", "OpenVocabularyDetector", "build_detector", "detector_families", "family_of"]
