"""ONNX emitters of YOLO-World."""
