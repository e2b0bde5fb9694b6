"""Which layers feed a layer follows from the data, not from names or the order of calls."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crqat_pipeline.quantization.feeding_layers import feeding_layers
from crqat_pipeline.structures.quantization_contract import QuantizationContract
from tests.support.toy_detector import ToyDetector


class TwoBranches(nn.Module):
    """`last` is called right after `side`, whose result it does not read."""

    quantization_contract = QuantizationContract({"all": ("",)})

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.norm = nn.BatchNorm2d(4)
        self.side = nn.Conv2d(4, 4, 1)
        self.last = nn.Conv2d(4, 2, 1)
        self.join = nn.Conv2d(6, 2, 1)

    def forward(self, images_B3HW: Tensor) -> Tensor:
        low, high = self.first(images_B3HW).chunk(2, dim=1)
        mixed = torch.cat([high, low], dim=1)
        mixed += 1.0
        out = self.norm(self.depthwise(mixed)).relu()
        side = self.side(mixed)
        last: Tensor = self.last(out[:, :, ::2])
        result: Tensor = self.join(torch.cat([side[:, :, ::2], last], dim=1))
        return result


def test_layers_are_fed_by_those_whose_results_they_read():
    assert feeding_layers(TwoBranches()) == {
        "first": frozenset(),
        "depthwise": {"first"},
        "side": {"first"},
        "last": {"depthwise"},
        "join": {"side", "last"},
    }


def test_products_are_fed_and_feed():
    feeding = feeding_layers(ToyDetector())
    assert feeding["neck.guide"] == frozenset()
    assert "neck.mix" in feeding["neck.product"]
    assert {"neck.mix", "neck.product"} <= feeding["head.hidden"]
    assert feeding["head.embed"] == {"head.hidden"}
