"""ONNX emitters of detectors without fusion."""
