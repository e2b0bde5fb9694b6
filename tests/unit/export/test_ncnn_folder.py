"""A network of ncnn is the student, code for code, in ncnn itself."""

import copy
import shutil

import numpy as np
import pytest
import torch

from crqat_pipeline.detectors.common.selection import select_detections
from crqat_pipeline.export.vendor.folder import without_heads
from crqat_pipeline.inference.model_file import open_model
from crqat_pipeline.structures.vocabulary import TextBank
from tests.support.small_students import minmax_spec, outspoken, small_inputs, small_student

pytest.importorskip("onnxruntime")
pytest.importorskip("ncnn", reason="ncnn is not installed: pip install 'crqat-pipeline[ncnn]'")
from crqat_pipeline.export.ncnn import write_ncnn

SIDES = (64, 96)
IMAGES, TEXTS = small_inputs(1, SIDES)
BANK = TextBank(prompts=tuple("abcde"), embeddings_KD=TEXTS, encoder="drawn", is_normalized=False)


def student(bits, pre_activation_bits=None):
    return outspoken(small_student(minmax_spec(bits, pre_activation_bits=pre_activation_bits)))


@pytest.mark.parametrize(
    ("bits", "pre_activation_bits", "narrowed", "left_out"),
    [("4-4-8", None, 0, 0), ("4-8-8", 8, 54, 54), ("8-8-8", 8, 54, 54)],
)
def test_ncnn_computes_the_codes_of_the_student_as_it_has_it(bits, pre_activation_bits, narrowed, left_out, tmp_path):
    made = write_ncnn(tmp_path / "net", student(bits, pre_activation_bits), [IMAGES], SIDES, BANK)
    assert made.parity.num_codes > 100_000
    assert made.parity.num_unexplained == 0
    assert made.parity.largest_box_difference_px < 1e-2
    assert (made.num_integer_convolutions, made.num_float_convolutions) == (50, 4)
    assert (made.num_narrowed, made.num_left_out) == (narrowed, left_out)


def test_gates_that_were_exchanged_come_behind_the_products(tmp_path):
    exchanged = outspoken(small_student(minmax_spec("8-8-8", gate_exchange=True)))
    made = write_ncnn(tmp_path / "net", exchanged, [IMAGES], SIDES, BANK)
    assert made.parity.num_unexplained == 0
    assert made.num_narrowed == 54 + 4  # a map more in each of four blocks


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return write_ncnn(tmp_path_factory.mktemp("network"), student("4-4-8"), [IMAGES], SIDES, BANK).path


def test_a_network_detects_what_its_student_detects(network):
    detector = student("4-4-8")
    model = open_model(network / "model.param")
    assert (model.facts.image_size_px, model.facts.fixed_prompts) == (SIDES, BANK.prompts)
    wish = {"score_threshold": 0.1, "max_detections": 20}
    found = model.detect(torch.cat([IMAGES, IMAGES.flip(3)]), TEXTS, **wish)
    with torch.no_grad():
        output = without_heads(copy.deepcopy(detector))(IMAGES, TEXTS)
    expected = select_detections(output.class_logits_BNK[0], output.boxes_BN4[0], 0.1, 20, detector.selection)
    assert len(found) == 2
    assert len(expected.scores_M) > 0
    np.testing.assert_allclose(found[0].boxes_M4, expected.boxes_M4, atol=1e-2)
    np.testing.assert_allclose(found[0].scores_M, expected.scores_M, atol=1e-4)


@pytest.mark.parametrize("name", ["model.param", "model.bin", "model.json"])
def test_an_altered_network_is_refused(name, network, tmp_path):
    folder = shutil.copytree(network, tmp_path / "copy")
    content = bytearray((folder / name).read_bytes())
    content[-3] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(ValueError, match=r"was altered|damaged"):
        open_model(folder / "model.param")


def test_a_folder_without_its_numbers_says_what_it_lacks(network, tmp_path):
    folder = shutil.copytree(network, tmp_path / "copy")
    (folder / "model.bin").unlink()
    with pytest.raises(ValueError, match=r"lacks model\.bin"):
        open_model(folder / "model.param")
