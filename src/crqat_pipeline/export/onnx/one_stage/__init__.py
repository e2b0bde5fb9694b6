"""ONNX emitters of what one-stage detectors share."""
