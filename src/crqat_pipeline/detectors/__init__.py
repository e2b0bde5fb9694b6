"""Open-vocabulary detectors behind one protocol (floor 1)."""
