import torch

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.model_files.packed import manifest
from crqat_pipeline.quantization import QuantSpec, prepare, set_quantized


def test_yolo_world_m_at_4_4_8_has_the_size_of_the_paper():
    """15.11 MB = 2^20 bytes (CR-QAT, size table of YOLO-World-M); names, shapes and dtypes are enough to know it."""
    with torch.device("meta"):
        detector = build_detector("yolo_world_m", version=1)
    prepare(detector, QuantSpec.parse("4-4-8"))
    set_quantized(detector, list(detector.parts))
    size = sum(entry.dtype.itemsize * _count(entry.shape) for entry in manifest(detector).values())
    assert abs(size / 2**20 / 15.11 - 1) < 0.01


def _count(shape):
    count = 1
    for side in shape:
        count *= 10 if side is None else side
    return count
