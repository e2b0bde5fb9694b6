import json
import re
import warnings

import numpy as np
import pytest
import torch

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.export.onnx import OnnxSpec, write_onnx
from crqat_pipeline.export.onnx.runtime import compile_openvino
from crqat_pipeline.export.onnx.saturation import is_saturating
from crqat_pipeline.inference import Predictor
from crqat_pipeline.inference.onnx_model import OnnxModel
from crqat_pipeline.inference.onnx_session import open_session
from crqat_pipeline.inference.saturation import self_test
from crqat_pipeline.structures.vocabulary import TextBank
from tests.support.small_students import minmax_spec, small_inputs, small_student

BANK = TextBank(("red lamp", "stray cat", "moon"), torch.randn(3, 64), "test", is_normalized=False)


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(0)
    return build_detector("yolo_world_open_shapes").eval()


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)


def found_by(source, picture, **options):
    predictor = Predictor.load(source, image_size_px=64, **options)
    return predictor.predict(picture, ["moon", "red lamp"], score_threshold=0.0001, max_detections=20)[0]


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_graph_finds_what_its_detector_finds(detector, picture, tmp_path, runtime):
    pytest.importorskip(runtime)
    write_onnx(tmp_path / "m.onnx", detector, OnnxSpec(form="fp32"), text_bank=BANK)
    mine = found_by(OnnxModel(tmp_path / "m.onnx", runtime, num_threads=1), picture)

    class Bank:
        name, embedding_dim, is_normalizing = "test", 64, False

        def encode(self, prompts):
            rows = [BANK.prompts.index(prompt) for prompt in prompts]
            return TextBank(tuple(prompts), BANK.embeddings_KD[rows], "test", is_normalized=False)

    expected = found_by(detector, picture, text_encoder=Bank())
    torch.testing.assert_close(mine.scores_M, expected.scores_M, atol=1e-6, rtol=1e-4)
    assert len(mine) == 20


@pytest.mark.parametrize("length", [1e-3, 1.0, 30.0])
def test_openvino_computes_in_float32_whatever_the_length_of_the_texts(detector, picture, tmp_path, length):
    pytest.importorskip("openvino")
    write_onnx(tmp_path / "m.onnx", detector, OnnxSpec(form="fp32"))
    images = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    texts = length * torch.nn.functional.normalize(BANK.embeddings_KD, dim=1)
    with torch.no_grad():
        expected = detector(images, texts)
    session = open_session(tmp_path / "m.onnx", "openvino", "fp32", num_threads=1)
    boxes, scores = session(["boxes", "scores"], {"images": images.numpy(), "text_embeddings": texts.numpy()})
    np.testing.assert_allclose(scores, expected.class_logits_BNK.sigmoid(), atol=1e-6)
    np.testing.assert_allclose(boxes, expected.boxes_BN4, atol=1e-3)


def test_every_way_to_openvino_asks_for_float32(detector, tmp_path):
    pytest.importorskip("openvino")
    write_onnx(tmp_path / "m.onnx", detector, OnnxSpec(form="fp32"))
    compiled = compile_openvino((tmp_path / "m.onnx").read_bytes(), 1)
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"
    assert compiled.get_property("DYNAMIC_QUANTIZATION_GROUP_SIZE") == 0


def test_a_form_that_ends_openvino_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"openvino ends the whole process.*'spec'.*Use runtime='onnxruntime'"):
        open_session(tmp_path / "m.onnx", "openvino", "spec", None)


def test_a_graph_in_a_runtime_that_is_slow_with_it_says_so(tmp_path):
    path = tmp_path / "m.onnx"
    plain, with_outputs = small_student(minmax_spec()), small_student(minmax_spec(pre_activation_bits=8))
    for student, form, is_told in ((plain, "openvino", True), (plain, "fast", True), (with_outputs, "fast", False)):
        write_onnx(path, student, OnnxSpec(form=form))
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            OnnxModel(path, "onnxruntime", num_threads=1)
        texts = [str(each.message) for each in told if each.category is RuntimeWarning]
        assert bool(texts) is is_told
        assert all("slower than full precision. Use it in openvino, or export the form auto" in text for text in texts)


def test_a_folded_vocabulary_and_size_come_from_the_file(detector, picture, tmp_path):
    spec = OnnxSpec(form="fp32", has_fixed_vocabulary=True, image_size_px=(96, 96))
    write_onnx(tmp_path / "m.onnx", detector, spec, text_bank=BANK)
    predictor = Predictor.load(tmp_path / "m.onnx")
    assert predictor.facts.fixed_prompts == BANK.prompts
    assert predictor.image_size_px == 96
    found = predictor.predict(picture, ["moon"], score_threshold=0.0)[0]
    assert set(found.labels_M.tolist()) == {0}


def test_foreign_and_later_files_are_refused(detector, tmp_path):
    import onnx

    path = tmp_path / "m.onnx"
    write_onnx(path, detector, OnnxSpec(form="fp32"))
    model = onnx.load(path)
    facts = json.loads(model.metadata_props[0].value)
    model.metadata_props[0].value = json.dumps(facts | {"format_version": 2})
    onnx.save(model, path)
    with pytest.raises(ValueError, match="format version 2; this program reads versions 1 to 1"):
        OnnxModel(path)
    del model.metadata_props[:]
    onnx.save(model, path)
    with pytest.raises(ValueError, match="of another program"):
        OnnxModel(path)


def test_a_truncated_graph_is_refused(detector, tmp_path):
    path = tmp_path / "m.onnx"
    write_onnx(path, detector, OnnxSpec(form="fp32"))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"m\.onnx is not a whole ONNX model"):
        OnnxModel(path)


def test_an_unknown_runtime_is_refused(detector, tmp_path):
    write_onnx(tmp_path / "m.onnx", detector, OnnxSpec(form="fp32"))
    with pytest.raises(ValueError, match=r"Unknown runtime 'openvin'\. Did you mean 'openvino'"):
        OnnxModel(tmp_path / "m.onnx", "openvin")


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_cpu_that_saturates_gets_unsigned_weights_when_a_graph_is_loaded(runtime, tmp_path, monkeypatch):
    if runtime == "openvino":
        pytest.importorskip("openvino")
    assert is_saturating() in (True, False)
    path, (images, texts) = tmp_path / "m.onnx", small_inputs()
    assert (
        write_onnx(
            path, small_student(minmax_spec("8-8-8", pre_activation_bits=8)), OnnxSpec(form="fast")
        ).num_wide_layers
        == 54
    )
    wish = {"score_threshold": 0.0, "max_detections": 20}
    (plain,) = OnnxModel(path, runtime).detect(images[:1], texts, **wish)
    monkeypatch.setattr("crqat_pipeline.export.onnx.saturation.is_saturating", lambda: True)
    (raised,) = OnnxModel(path, runtime).detect(images[:1], texts, **wish)
    torch.testing.assert_close(raised.scores_M, plain.scores_M, atol=2e-5, rtol=0)


def test_the_self_test_is_one_line_about_this_cpu_and_this_graph(monkeypatch):
    assert self_test(0).startswith("self-test: ")
    for is_wrong, text in (
        (True, r"this CPU \(no VNNI\) saturates.*54 layers"),
        (False, r"without saturation.*54 layers.*need --unsigned-weights"),
    ):
        monkeypatch.setattr("crqat_pipeline.inference.saturation.is_saturating", lambda is_wrong=is_wrong: is_wrong)
        assert re.search(text, self_test(54))
    assert "right, slow" in self_test(54, has_unsigned_weights=True)


def test_the_empty_file_of_a_switched_off_export_says_so(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match=r"m\.onnx is empty: ONNX export was off \(int4_export\.onnx: null\)"):
        OnnxModel(tmp_path / "m.onnx")
