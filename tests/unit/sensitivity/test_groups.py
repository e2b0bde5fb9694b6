"""Groups follow the network's own names and what its layers are."""

from __future__ import annotations

import pytest
from torch import nn

from crqat_pipeline.quantization import QuantSpec, prepare, set_quantized
from crqat_pipeline.sensitivity.groups import groups_of
from crqat_pipeline.structures.quantization_contract import QuantizationContract
from tests.support.toy_detector import ToyDetector


class Separable(nn.Sequential):
    """stem, then two blocks of a depthwise and a pointwise convolution."""

    quantization_contract = QuantizationContract({"all": ("",)}, edge_layers=("0",))

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 4, 3), *(self._block() for _ in range(2)))

    @staticmethod
    def _block() -> nn.Module:
        return nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.ReLU(), nn.Conv2d(4, 4, 1))


def names_of(detector: nn.Module) -> dict[str, tuple[str, ...]]:
    return {f"{group.kind}: {group.name}": group.quantizers for group in groups_of(detector)}


def test_blocks_and_kinds_of_tensor():
    detector = Separable()
    prepare(detector, QuantSpec.parse("4-4-8"))
    set_quantized(detector, ["all"])
    groups = names_of(detector)
    assert list(groups) == [
        "whole: everything", "block: 1", "block: 2", "tensor: weights", "tensor: activations",
        "tensor: depthwise weights", "tensor: pointwise weights", "tensor: inputs after depthwise",
    ]  # fmt: skip
    assert len(groups["whole: everything"]) == 8
    assert groups["tensor: inputs after depthwise"] == ("1.2.input_quantizer", "2.2.input_quantizer")
    assert groups["tensor: depthwise weights"] == ("1.0.weight_quantizer", "2.0.weight_quantizer")
    assert groups["block: 2"] == tuple(name for name in groups["whole: everything"] if name.startswith("2."))


@pytest.fixture
def toy() -> ToyDetector:
    detector = ToyDetector()
    prepare(detector, QuantSpec.parse("4-4-8"))
    return detector


def test_only_what_is_on_is_grouped(toy):
    set_quantized(toy, ["backbone"])
    assert names_of(toy) == {
        "whole: everything": ("backbone.conv.weight_quantizer", "backbone.conv.input_quantizer"),
        "tensor: weights": ("backbone.conv.weight_quantizer",),
        "tensor: activations": ("backbone.conv.input_quantizer",),
    }


def test_parts_products_and_linear_layers_have_groups(toy):
    set_quantized(toy, ["backbone", "neck", "head"])
    groups = names_of(toy)
    assert groups["block: neck.product"] == ("neck.product.map_operand", "neck.product.guide_operand")
    assert groups["tensor: linear weights"] == ("neck.guide.weight_quantizer",)
    assert {"part: backbone", "part: neck", "part: head", "tensor of part: neck weights"} <= groups.keys()
    assert len(set(map(frozenset, groups.values()))) == len(groups)
