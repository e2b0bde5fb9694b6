"""The fast form in onnxruntime's own format, which its small builds for phones read, is the same model."""

import numpy as np
import pytest

from crqat_pipeline.export.bias_alignment import align_biases
from crqat_pipeline.export.onnx import OnnxSpec, write_onnx
from tests.support.small_students import minmax_spec, outspoken, small_inputs, small_student

onnxruntime = pytest.importorskip("onnxruntime")


def test_the_fast_form_gives_the_same_numbers_in_the_format_of_small_builds(tmp_path):
    student = outspoken(small_student(minmax_spec("4-8-8", pre_activation_bits=8)))
    align_biases(student)
    source, target = tmp_path / "model.onnx", tmp_path / "model.ort"
    write_onnx(source, student, OnnxSpec(form="fast"))
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(target)
    options.add_session_config_entry("session.save_model_format", "ORT")
    providers = ["CPUExecutionProvider"]
    whole = onnxruntime.InferenceSession(str(source), options, providers=providers)
    small = onnxruntime.InferenceSession(str(target), providers=providers)
    images, texts = small_inputs(1, (64, 96))
    feeds = {"images": images.numpy(), "text_embeddings": texts.numpy()}
    for left, right in zip(whole.run(None, feeds), small.run(None, feeds), strict=True):
        np.testing.assert_array_equal(left, right)
