"""The card of a packed file: what a model hub reads, what a person asks, and figures when they are known."""

from __future__ import annotations

import pytest
import torch
import yaml

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.evaluation.result import EvaluationResult
from crqat_pipeline.model_files.packed import read_packed, write_packed
from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized
from crqat_pipeline.recipes.specs import CardSpec, ExportSpec, TeacherSpec
from crqat_pipeline.reporting.model_card.figures import with_figures
from crqat_pipeline.reporting.model_card.text import model_card
from crqat_pipeline.structures.vocabulary import TextBank

NAME = "crqat.int4.safetensors"
BANK = TextBank(("red lamp", "stray cat"), torch.eye(2, 64), "open_clip:ViT-B-32:openai", is_normalized=True)
COUNTS = {"num_images": 1200, "num_boxes": 4000, "num_categories": 2}
METRICS = {
    "packed_bytes": 555_555,
    "full_precision_bytes": 2_700_000,
    "compression": 4.86,
    "parity_images": 8,
    "largest_difference": 0.0,
    "onnx_bytes": 670_000,
    "onnx_codes": 3_622_784,
}


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    torch.manual_seed(0)
    detector = build_detector("yolo_world_open_shapes").eval()
    spec = QuantSpec.parse("4-4-8", activation_initialization="minmax", weight_initialization="minmax")
    prepare(detector, spec)
    calibrate(detector, [(torch.rand(1, 3, 64, 64), BANK.embeddings_KD)], list(detector.parts))
    set_quantized(detector, list(detector.parts))
    path = tmp_path_factory.mktemp("card") / NAME
    row = {"detector_name": "yolo_world_open_shapes", "detector_options": {}, "quantization": spec}
    facts = {"image_size_px": 128, "stage": "stage2_neck_head", "seed": 3}
    write_packed(path, detector, **row, text_bank=BANK, extra_metadata=facts)
    return read_packed(path)


def card(packed, source="open_shapes", weights=None, **stated):
    teacher = TeacherSpec.model_construct(weights=weights)
    spec = ExportSpec(image_size_px=128, card=CardSpec(**stated))
    return model_card(NAME, packed, {"source": source, "train": COUNTS, "val": COUNTS}, teacher, spec, METRICS)


def front(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_a_hub_finds_task_library_and_licence(packed):
    facts = front(card(packed))
    assert facts["license"] == "apache-2.0"
    assert facts["pipeline_tag"] == "zero-shot-object-detection"
    assert facts["library_name"] == "crqat-pipeline"
    assert {"quantization", "int4"} <= set(facts["tags"])


def test_a_person_finds_widths_sizes_data_and_how_to_use_it(packed):
    text = card(packed)
    for said in ("4-4-8 Ch-T-H", "555,555", "4.9 times", "1,200 images", "2 prompts", "open_clip:ViT-B-32", "seed 3"):
        assert said in text, said
    assert f"crqat detect {NAME} photo.jpg --prompts 'red lamp,stray cat' --out found/" in text


def test_nothing_is_claimed_of_files_that_nobody_described(packed):
    text = card(packed, source="files", weights="folder/of/someone/yolov8s.pt")
    assert front(text)["license"] == "other"
    assert text.count("not stated; the terms of its authors hold") == 2
    assert "yolov8s.pt" in text
    assert "someone" not in text


def test_what_is_stated_is_said(packed):
    stated = {
        "license": "mit",
        "weights_license": "Apache-2.0 (NanoDet-m)",
        "data": "photographs",
        "data_license": "CC BY",
    }
    text = card(packed, source="files", weights="nanodet.param", **stated)
    assert front(text)["license"] == "mit"
    for said in ("Apache-2.0 (NanoDet-m)", "Data: photographs.", "Data: CC BY."):
        assert said in text, said


def test_figures_are_added_with_their_protocol(packed):
    result = EvaluationResult("COCO box AP", "fast", "val", 24, 90, 100, {"AP": 0.6437, "AP50": -1.0}, ())
    text = with_figures(card(packed), {"CR-QAT int4 file": {"coco": result}})
    assert "| CR-QAT int4 file | COCO box AP, fast | val, 24 images | 64.4 | – |" in text
    (indexed,) = front(text)["model-index"][0]["results"]
    assert indexed["metrics"] == [{"type": "mAP", "name": "AP of CR-QAT int4 file (COCO box AP)", "value": 64.4}]
    assert "Not measured yet" not in text
    assert "## Licences" in text
    assert "## Use" in text
