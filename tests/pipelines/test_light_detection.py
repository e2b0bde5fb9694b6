"""`crqat detect` on a packed file and on a graph, where nothing of the extra `run` is installed."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib

import pytest

pytestmark = pytest.mark.slow

LEFT_OUT = {
    "dvc": "dvc",
    "faster-coco-eval": "faster_coco_eval",
    "huggingface-hub": "huggingface_hub",
    "kedro": "kedro",
    "kedro-datasets": "kedro_datasets",
    "kedro-mlflow": "kedro_mlflow",
    "lvis": "lvis",
    "matplotlib": "matplotlib",
    "mlflow": "mlflow",
    "open_clip_torch": "open_clip",
    "pandas": "pandas",
    "pyarrow": "pyarrow",
    "pycocotools": "pycocotools",
    "pyyaml": "yaml",
    "scipy": "scipy",
}
"""Requirement of the extra `run` -> its module."""
TORCHS_OWN = {"fsspec", "jinja2"}
"""Requirements of `run` that torch brings anyway."""
WITHOUT = """
import sys

for name in sys.argv.pop(1).split(","):
    sys.modules[name] = None
from crqat_pipeline.cli import main

main()
"""
"""A Python in which some modules cannot be imported; then the command line."""


def crqat(*arguments):
    command = [sys.executable, "-c", WITHOUT, ",".join([*LEFT_OUT.values(), "cv2"]), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_every_requirement_of_the_extra_is_left_out_here(project):
    with (project / "pyproject.toml").open("rb") as file:
        wanted = tomllib.load(file)["project"]["optional-dependencies"]["run"]
    names = {each.partition(">")[0].partition("[")[0] for each in wanted}
    assert names == LEFT_OUT.keys() | TORCHS_OWN


@pytest.mark.parametrize("name", ["crqat.int4.safetensors", "crqat.onnx"])
def test_a_model_file_finds_what_words_name(whole_run, name):
    if name.endswith("onnx"):
        pytest.importorskip("onnxruntime")
    model, image = whole_run.data / "07_model_output" / name, whole_run.data / "01_raw/images/val/000000.jpg"
    done = crqat("detect", model, image, "--json", "--threshold", 0.001, "--prompts", "red star,blue ring")
    assert done.returncode == 0, done.stderr[-2000:]
    document = json.loads(done.stdout)
    assert document["prompts"] == ["red star", "blue ring"]


def test_a_detector_is_counted():
    done = crqat("cost", "--detector", "yolo_world_open_shapes", "--image-size", 160, "--widths", "edges=8", "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["size_mb"] > 0


def test_what_needs_the_extra_says_so(tmp_path):
    (tmp_path / "widths.yml").write_text("quantization: {widths: {edges: 8}}")
    done = crqat("cost", "--detector", "yolo_world_open_shapes", "--widths", tmp_path / "widths.yml")
    assert "This needs pyyaml" in done.stderr, done.stderr[-2000:]
    done = crqat("new", "my_data", "--images", tmp_path, "--annotations", tmp_path / "none.json")
    assert done.returncode == 1
    assert "crqat-pipeline[run]" in done.stderr, done.stderr[-2000:]
