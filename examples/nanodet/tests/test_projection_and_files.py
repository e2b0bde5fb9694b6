"""The file reader and the text classifier do what they say. No weights needed."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from crqat_nanodet.coco_names import COCO_NAMES
from crqat_nanodet.loading import class_embeddings
from crqat_nanodet.ncnn_file import read_convolutions
from crqat_nanodet.projection import to_text_classifier
from torch.nn import functional

from crqat_pipeline.detectors.weights import WeightsRefused
from crqat_pipeline.structures.vocabulary import TextBank

HALF = 0x01306B47
LAYER = "ConvolutionDepthWise one 1 1 a b 0=3 1=1 3=2 4=0 5=1 6=3 7=3 -23310=1,1.0e-01"


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """One depthwise convolution in half precision, padded to four bytes."""
    param, binary = tmp_path / "m.param", tmp_path / "m.bin"
    weight, bias = np.arange(3, dtype=np.float16), np.float32([0.5, 1.5, 2.5])
    binary.write_bytes(struct.pack("<I", HALF) + weight.tobytes() + b"\0\0" + bias.tobytes())
    param.write_text(f"7767517\n2 2\nInput in 0 1 a\n{LAYER}\n")
    return param, binary


def test_the_text_classifier_repeats_the_closed_set_one() -> None:
    torch.manual_seed(0)
    weight_KC, bias_K, text_KD, regions_CN = torch.randn(5, 7), torch.randn(5), torch.randn(5, 12), torch.randn(7, 9)
    made = to_text_classifier(weight_KC, bias_K, 3 * text_KD)
    logits_KN = functional.normalize(text_KD, dim=1) @ (made.weight_DC @ regions_CN + made.bias_D[:, None])
    torch.testing.assert_close(logits_KN + made.offset, weight_KC @ regions_CN + bias_K[:, None], rtol=0, atol=1e-5)


@pytest.mark.parametrize("text_KD", [torch.randn(5, 4), torch.ones(5, 12)], ids=["too few dimensions", "same names"])
def test_names_that_depend_on_one_another_are_refused(text_KD: torch.Tensor) -> None:
    with pytest.raises(WeightsRefused, match="independent of one another"):
        to_text_classifier(torch.randn(5, 7), torch.randn(5), text_KD)


def test_classes_are_found_by_name_in_any_bank() -> None:
    prompts = ("lampshade", *reversed(COCO_NAMES))
    bank = TextBank(prompts, torch.arange(81.0)[:, None], "test", is_normalized=False)
    assert class_embeddings(bank)[:, 0].tolist() == list(range(80, 0, -1))
    with pytest.raises(WeightsRefused, match="79 are missing, such as 'bicycle'"):
        class_embeddings(TextBank(("person",), torch.zeros(1, 4), "test", is_normalized=False))
    with pytest.raises(WeightsRefused, match="none were given"):
        class_embeddings(None)


def test_half_precision_weights_are_padded_to_four_bytes(pair: tuple[Path, Path]) -> None:
    (layer,) = read_convolutions(*pair)
    assert (layer.name, layer.stride, layer.groups, layer.weight.shape) == ("one", 2, 3, (3, 1, 1, 1))
    assert layer.weight.flatten().tolist() == [0, 1, 2]
    assert layer.bias.tolist() == [0.5, 1.5, 2.5]


@pytest.mark.parametrize(
    ("graph", "numbers", "message"),
    [
        (None, lambda content: content[:-2], "does not hold layer one"),
        (None, lambda content: content + b"\0\0\0\0", "take 24"),
        (None, lambda content: b"\1\1\1\1" + content[4:], "have the tag 0x01010101"),
        (None, lambda content: content[:4] + b"\0\x7c" + content[6:], "not finite"),
        ("767\n" + LAYER, None, "first line is not 7767517"),
        ("7767517\n1 1\nConvolution one", None, "Line 3 of m.param is no ncnn layer"),
        ("7767517\n1 1\nConvolution one 1 1 a b 0=3 1=2 6=3", None, "do not fill 3 kernels"),
        ("7767517\n1 1\nConvolution one 1 1 a b 0=3 1=1", None, "does not hold layer one"),
        ("7767517\n1 1\nConvolution one 1 1 a b 0=99 1=1 6=999999999 5=1", None, "does not hold layer one"),
    ],
)
def test_what_is_no_pair_is_refused(pair: tuple[Path, Path], graph: str, numbers: object, message: str) -> None:
    param, binary = pair
    if graph is not None:
        param.write_text(graph)
    if callable(numbers):
        binary.write_bytes(numbers(binary.read_bytes()))
    with pytest.raises(WeightsRefused, match=message):
        read_convolutions(param, binary)


def test_a_missing_second_file_is_named(pair: tuple[Path, Path]) -> None:
    pair[1].unlink()
    with pytest.raises(WeightsRefused, match=r"m\.bin cannot be read beside m\.param"):
        read_convolutions(*pair)
