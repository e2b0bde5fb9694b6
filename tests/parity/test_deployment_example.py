"""The Python example of docs/formats/deployment.md runs as it is printed, without this project."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from crqat_pipeline.export.onnx import OnnxSpec, write_onnx
from crqat_pipeline.structures.vocabulary import TextBank

PAGE = Path(__file__).parents[2] / "docs" / "formats" / "deployment.md"


def test_the_printed_example_finds_something(make_student, tmp_path):
    pytest.importorskip("onnxruntime")
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL).group(1)
    assert "crqat_pipeline" not in code
    (tmp_path / "example.py").write_text(code)
    bank = TextBank(("red lamp", "stray cat"), torch.eye(2, 64), "test", is_normalized=True)
    spec = OnnxSpec(form="fast", nms_max_detections=300, score_threshold=0.0001)
    write_onnx(tmp_path / "m.onnx", make_student(2, is_aligned=True, pre_activation_bits=8), spec, text_bank=bank)
    noise = np.random.default_rng(0).integers(0, 255, (50, 90, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "picture.png")
    arguments = [str(tmp_path / name) for name in ("example.py", "m.onnx", "picture.png")]
    done = subprocess.run([sys.executable, *arguments, "64"], capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) > 5
    assert re.match(r"(red lamp|stray cat) 0\.\d\d \[", done.stdout)
