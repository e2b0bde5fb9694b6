"""The examples of docs/formats/deployment.md run as they are printed, without this project, and find what it finds."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from crqat_pipeline.export.onnx import OnnxSpec, write_onnx
from crqat_pipeline.inference import Predictor
from crqat_pipeline.inference.onnx_model import OnnxModel
from crqat_pipeline.structures.vocabulary import TextBank
from tests.support.same_detections import assert_same_detections
from tests.support.small_students import outspoken

PAGE = Path(__file__).parents[2] / "docs" / "formats" / "deployment.md"
BANK = TextBank(("red lamp", "stray cat"), torch.eye(2, 64), "test", is_normalized=True)
THRESHOLD = 0.3


def printed(language):
    code = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL).group(1)
    assert "crqat_pipeline" not in code
    return code


def assert_same(lines, predictor, picture, size):
    """What a program printed is what the predictor finds, once boxes are clipped to the picture."""
    (found,) = predictor.predict(picture, score_threshold=THRESHOLD, max_detections=600)
    expected = np.column_stack([found.labels_M, found.scores_M, found.boxes_M4])
    rows = [re.fullmatch(r"(red lamp|stray cat) (\d\.\d+) \[(.*)\]", line) for line in lines]
    got = np.array([[BANK.prompts.index(row[1]), float(row[2]), *map(float, row[3].split(","))] for row in rows])
    got[:, 2:] = got[:, 2:].clip(0, [*size, *size])
    assert_same_detections(got, expected, score_tolerance=1e-4, box_tolerance_px=0.1)


@pytest.mark.parametrize("size", [(90, 150), (40, 33)])
def test_the_printed_python_example_finds_what_the_predictor_finds(make_student, tmp_path, size):
    pytest.importorskip("onnxruntime")
    (tmp_path / "example.py").write_text(printed("python"))
    spec = OnnxSpec(form="fast", nms_max_detections=300, score_threshold=THRESHOLD)
    student = outspoken(make_student(2, is_aligned=True, pre_activation_bits=8))
    write_onnx(tmp_path / "m.onnx", student, spec, text_bank=BANK)
    pixels = np.random.default_rng(0).integers(0, 255, (*size[::-1], 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    arguments = [str(tmp_path / name) for name in ("example.py", "m.onnx", "picture.png")]
    done = subprocess.run([sys.executable, *arguments, "64"], capture_output=True, text=True, check=True)
    predictor = Predictor.load(tmp_path / "m.onnx", image_size_px=64)
    assert_same(done.stdout.splitlines(), predictor, tmp_path / "picture.png", size)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_the_printed_c_example_compiles_and_finds_what_the_predictor_finds(make_student, tmp_path):
    openvino = pytest.importorskip("openvino")
    room = Path(openvino.__file__).parent
    libraries = sorted((room / "libs").glob("libopenvino.so.*"))
    if not libraries or not (room / "include" / "openvino" / "openvino.hpp").is_file():
        pytest.skip("this package of OpenVINO came without its C++ library or headers")
    (tmp_path / "detect.cpp").write_text(printed("cpp"))
    program = tmp_path / "detect"
    include = ["-I", room / "include", tmp_path / "detect.cpp", "-o", program, libraries[0]]
    subprocess.run(["g++", "-std=c++17", "-O1", *include, f"-Wl,-rpath,{room / 'libs'}"], check=True)
    fixed = {"batch_size": 1, "image_size_px": (64, 96), "has_fixed_vocabulary": True, "has_embeddings": False}
    spec = OnnxSpec(form="fast", nms_max_detections=300, score_threshold=THRESHOLD, **fixed)
    student = outspoken(make_student(2, is_aligned=True, pre_activation_bits=8))
    write_onnx(tmp_path / "m.onnx", student, spec, text_bank=BANK)
    pixels = np.random.default_rng(0).integers(0, 255, (80, 150, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.ppm")
    (tmp_path / "prompts.txt").write_text("".join(f"{prompt}\n" for prompt in BANK.prompts))
    arguments = [tmp_path / name for name in ("m.onnx", "picture.ppm", "prompts.txt")]
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=True)
    predictor = Predictor.load(OnnxModel(tmp_path / "m.onnx", "openvino", num_threads=1))
    assert_same(done.stdout.splitlines(), predictor, tmp_path / "picture.ppm", (150, 80))
