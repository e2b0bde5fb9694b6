"""The graph that a run writes: fast in onnxruntime and OpenVINO, whatever the student was trained with."""

import numpy as np
import pytest
import torch
from PIL import Image

from crqat_pipeline.detection_data.image_folder import ImageFolder
from crqat_pipeline.detection_data.image_table import PreparedImage
from crqat_pipeline.detection_data.prepared_split import PreparedCategory, PreparedSplit
from crqat_pipeline.export.onnx.runtime import open_model
from crqat_pipeline.inference.onnx_model import OnnxModel
from crqat_pipeline.model_files.packed import write_packed
from crqat_pipeline.recipes.onnx_exporting import export_onnx
from crqat_pipeline.recipes.specs import ExportSpec
from crqat_pipeline.recipes.stage_data import TrainingData
from crqat_pipeline.structures.vocabulary import TextBank, Vocabulary
from tests.support.small_students import NAME, minmax_spec, small_student

pytest.importorskip("onnxruntime")
BANK = TextBank(("red lamp", "stray cat"), torch.eye(2, 64), "test", is_normalized=True)


@pytest.fixture
def packed(tmp_path):
    spec, path = minmax_spec(), tmp_path / "m.int4.safetensors"
    row = {"detector_name": NAME, "detector_options": {}, "quantization": spec}
    write_packed(
        path, small_student(spec), **row, text_bank=BANK, extra_metadata={"image_size_px": 64, "stage": "test"}
    )
    return path


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for index in range(3):
        Image.fromarray(rng.integers(0, 255, (50, 60, 3), np.uint8)).save(tmp_path / f"{index}.png")
    images = tuple(PreparedImage(id=index, file_name=f"{index}.png", width=60, height=50) for index in range(3))
    split = PreparedSplit(images=images, categories=(PreparedCategory(id=1, synonyms=("lamp",)),))
    return TrainingData(split, ImageFolder(tmp_path), Vocabulary(("lamp",), (1,)), BANK)


def test_a_student_trained_without_pre_activations_runs_on_integers(packed, data, tmp_path, recwarn):
    spec = ExportSpec.model_validate({"image_size_px": 64, "parity_images": 2, "onnx": {"form": "auto"}})
    write, figures = export_onnx(packed, data, spec)
    write(tmp_path / "m.onnx")
    assert figures["onnx_calibration_images"] == 3
    assert figures["onnx_integer_convolutions"] > figures["onnx_float_convolutions"]
    model = OnnxModel(tmp_path / "m.onnx", "onnxruntime", num_threads=1)
    assert model.facts.form == "ONNX fast"
    assert not [each for each in recwarn if issubclass(each.category, RuntimeWarning)]
    pytest.importorskip("openvino")
    feeds = {"images": np.zeros((1, 3, 64, 64), np.float32), "text_embeddings": BANK.embeddings_KD.numpy()}
    done = open_model((tmp_path / "m.onnx").read_bytes(), ["boxes", "scores"], "openvino")(feeds)
    assert done.integer_convolutions > done.float_convolutions


def test_without_images_for_it_the_graph_is_exactly_the_student(packed, data, tmp_path):
    wishes = {"image_size_px": 64, "parity_images": 2, "pre_activation_images": 0, "onnx": {"form": "auto"}}
    write, figures = export_onnx(packed, data, ExportSpec.model_validate(wishes))
    write(tmp_path / "m.onnx")
    assert figures["onnx_calibration_images"] == 0
    with pytest.warns(RuntimeWarning, match="slower than full precision"):
        assert OnnxModel(tmp_path / "m.onnx", "onnxruntime", num_threads=1).facts.form == "ONNX openvino"
