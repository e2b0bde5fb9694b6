import numpy as np
import pytest
import torch
from fixed_model import BANK, EchoEncoder, FixedModel, WideEncoder
from PIL import Image

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.inference import Predictor
from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized
from crqat_pipeline.structures.checkpoint import Checkpoint


def test_boxes_come_back_in_pixels_of_the_upright_original():
    predictor = Predictor(FixedModel(box=(16.0, 20.0, 32.0, 40.0)))
    wide, tall = Image.new("RGB", (128, 64)), Image.new("RGB", (64, 256))
    found = predictor.predict([wide, tall])
    assert found[0].boxes_M4.tolist() == [[32.0, 8.0, 64.0, 48.0]]
    assert found[1].boxes_M4.tolist() == [[0.0, 80.0, 32.0, 160.0]]


def test_one_image_or_a_list_and_any_batch_size_give_the_same():
    images = [np.full((40 + 3 * index, 50, 3), 10 * index, np.uint8) for index in range(5)]
    predictor = Predictor(FixedModel())
    together = predictor.predict(images, batch_size=3)
    apart = [predictor.predict(image)[0] for image in images]
    assert [item.boxes_M4.tolist() for item in together] == [item.boxes_M4.tolist() for item in apart]


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (999, 2)])
def test_tiny_and_thin_images_are_handled(size):
    model = FixedModel()
    found = Predictor(model).predict(Image.new("RGB", size))[0]
    assert model.images[0].shape == (1, 3, 64, 64)
    assert found.boxes_M4[0, 2] <= size[0]
    assert found.boxes_M4[0, 3] <= size[1]


def test_prompts_come_from_the_models_own_bank_and_may_change_between_calls():
    model = FixedModel()
    predictor = Predictor(model)
    image = Image.new("RGB", (64, 64))
    predictor.predict(image, ["stray cat"])
    predictor.predict(image, ["Red Lamp", "stray cat"])
    predictor.predict(image)
    assert model.texts[0].tolist() == BANK.embeddings_KD[1:].tolist()
    assert model.texts[1].tolist() == model.texts[2].tolist() == BANK.embeddings_KD.tolist()
    assert predictor.vocabularies == ("model",)


def test_known_and_new_prompts_mix_when_an_encoder_is_there():
    model = FixedModel()
    Predictor(model, text_encoder=EchoEncoder()).predict(Image.new("RGB", (9, 9)), ["zebra", "red lamp"])
    assert model.texts[0].tolist() == [[5, 0, 0, 0], [1, 0, 0, 0]]


def test_a_resolved_bank_is_not_embedded_again():
    asked: list[list[str]] = []

    class CountingEncoder(EchoEncoder):
        def encode(self, prompts):
            asked.append(list(prompts))
            return super().encode(prompts)

    model = FixedModel()
    predictor = Predictor(model, text_encoder=CountingEncoder())
    bank = predictor.text_bank(["zebra", "red lamp"])
    for _ in range(5):
        predictor.predict(Image.new("RGB", (9, 9)), bank)
    assert asked == [["zebra"]]
    assert all(texts.tolist() == [[5, 0, 0, 0], [1, 0, 0, 0]] for texts in model.texts)


def test_a_folded_vocabulary_answers_for_its_own_prompts_only():
    predictor = Predictor(FixedModel(text_bank=None, fixed_prompts=("cat", "dog")))
    image = Image.new("RGB", (64, 64))
    assert predictor.predict(image)[0].labels_M.tolist() == [0]
    assert predictor.predict(image, ["dog", "cat"])[0].labels_M.tolist() == [1]
    assert len(predictor.predict(image, ["dog"])[0]) == 0
    with pytest.raises(ValueError, match=r"part of its graph; got \['bird'\].*cat, dog"):
        predictor.predict(image, ["bird"])


@pytest.mark.parametrize("size", [0, 16, 65])
def test_an_input_size_that_does_not_fit_is_refused(size):
    if size == 0:
        assert Predictor(FixedModel(), image_size_px=None).image_size_px == 64
        return
    with pytest.raises(ValueError, match=f"multiple of 32 px; got {size}. Use "):
        Predictor(FixedModel(), image_size_px=size)


@pytest.fixture(scope="module")
def student():
    torch.manual_seed(0)
    detector = build_detector("yolo_world_open_shapes").eval()
    spec = QuantSpec.parse("4-4-8", activation_initialization="minmax", weight_initialization="minmax")
    prepare(detector, spec)
    calibrate(detector, [(torch.rand(1, 3, 64, 64), torch.randn(3, 64))], list(detector.parts))
    set_quantized(detector, list(detector.parts))
    return detector, spec


def test_a_fake_quantized_checkpoint_predicts_what_its_student_does(student):
    detector, spec = student
    metadata = {
        "detector": {"name": "yolo_world_open_shapes", "options": {}},
        "quantization": spec.model_dump(mode="json"),
        "quantized_parts": ["backbone", "neck", "head"],
        "image_size_px": 64,
    }
    predictor = Predictor.load(Checkpoint(detector.state_dict(), metadata), text_encoder=WideEncoder())
    assert predictor.facts.form == "fake-quantized checkpoint"
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    found = predictor.predict(image, ["a", "bb"], score_threshold=0.0, max_detections=9)[0]
    with torch.inference_mode():
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float().div(255)
        output = detector(pixels, WideEncoder().encode(["a", "bb"]).embeddings_KD)
        expected = detector.detect(output, score_threshold=0.0, max_detections=9)[0]
    assert torch.equal(found.scores_M, expected.scores_M)
    assert torch.equal(found.labels_M, expected.labels_M)
