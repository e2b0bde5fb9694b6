import json

import numpy as np
import pytest
import torch

from crqat_pipeline.export.onnx import OnnxSpec, write_onnx
from crqat_pipeline.export.web import write_web_folder
from crqat_pipeline.export.web.runtime_package import WASM_FILES, WEBGPU_FILES
from crqat_pipeline.structures.vocabulary import TextBank
from tests.support.small_students import small_detector

RUNTIME = {name: name.encode() for name in (*WASM_FILES, *WEBGPU_FILES)}
BANK = TextBank(("red lamp", "stray cat"), torch.eye(2, 64), "test", is_normalized=True)


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    path = tmp_path_factory.mktemp("graph") / "m.onnx"
    spec = OnnxSpec(form="fp32", batch_size=1, image_size_px=(64, 96), has_embeddings=False, has_text_bank=False)
    return write_onnx(path, small_detector(), spec, text_bank=BANK)


def test_the_folder_is_whole_and_an_earlier_one_is_replaced(graph, tmp_path):
    out = tmp_path / "site"
    first = write_web_folder(out, graph.path, graph.facts, BANK, (64, 96), RUNTIME)
    assert first.total_bytes > first.download_bytes
    facts = json.loads((out / "model.json").read_text())
    assert facts["prompts"] == ["red lamp", "stray cat"]
    assert facts["input_px"] == [64, 96]
    assert facts["nms_iou"] == 0.7
    assert np.array_equal(np.fromfile(out / "embeddings.f32", "<f4").reshape(2, 64), np.eye(2, 64))
    assert (out / "model.onnx").read_bytes() == graph.path.read_bytes()
    assert b"red lamp" not in graph.path.read_bytes()
    version = (out / "offline.js").read_text()
    assert "__" not in version
    other = TextBank(("zebra",), torch.ones(1, 64), "test", is_normalized=False)
    write_web_folder(out, graph.path, graph.facts, other, (64, 96), RUNTIME, has_webgpu=False)
    assert json.loads((out / "model.json").read_text())["prompts"] == ["zebra"]
    assert (out / "offline.js").read_text() != version
    assert not (out / "runtime" / WEBGPU_FILES[0]).exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site"]


def test_what_somebody_else_put_there_stays(graph, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"writes a folder of its own.*Choose a new folder"):
        write_web_folder(tmp_path, graph.path, graph.facts, BANK, (64, 96), RUNTIME)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
