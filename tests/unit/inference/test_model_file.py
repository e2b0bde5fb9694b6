import pytest
import torch
from safetensors.torch import save_file

from crqat_pipeline.inference import Predictor


def test_missing_foreign_and_damaged_files_are_told_apart(tmp_path):
    with pytest.raises(ValueError, match=r"No model file .*gone\.onnx"):
        Predictor.load(tmp_path / "gone.onnx")
    (tmp_path / "weights.pt").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"got 'weights\.pt'.*crqat weights"):
        Predictor.load(tmp_path / "weights.pt")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        Predictor.load(tmp_path / "cut.safetensors")
    (tmp_path / "cut.onnx").write_bytes(b"\x08\x0a\xff\xff")
    with pytest.raises(ValueError, match=r"cut\.onnx is not a whole ONNX model"):
        Predictor.load(tmp_path / "cut.onnx")


def test_a_checkpoint_that_names_no_detector_is_refused(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors", {"crqat": '{"stage": "teacher"}'})
    with pytest.raises(ValueError, match=r"records only \['stage'\].*crqat weights"):
        Predictor.load(tmp_path / "x.safetensors")


def test_a_checkpoint_that_does_not_fit_its_detector_is_refused(tmp_path):
    header = '{"detector": {"name": "yolo_world_open_shapes", "options": {}}, "quantization": null}'
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors", {"crqat": header})
    with pytest.raises(ValueError, match="does not fit 'yolo_world_open_shapes'"):
        Predictor.load(tmp_path / "x.safetensors")


def test_a_file_of_another_kind_is_refused_with_the_kinds_there_are(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors", {"crqat": '{"format": "crqat-packed-int3"}'})
    with pytest.raises(ValueError, match=r"Unknown kind of model file 'crqat-packed-int3'. Did you mean"):
        Predictor.load(tmp_path / "x.safetensors")
