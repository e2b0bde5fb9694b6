"""Deliverables: packed int4 files, ONNX graphs, and the proof that they compute the student's integers (floor 3)."""
