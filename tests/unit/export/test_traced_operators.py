"""Every operator of a traced graph gives torch's numbers in onnxruntime, with free sizes."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from crqat_pipeline.export.onnx import OnnxSpec
from crqat_pipeline.export.verified_onnx import write_verified_onnx
from tests.support.toy_detector import ToyDetector, toy_inputs

pytest.importorskip("onnxruntime")

bilinear = partial(functional.interpolate, mode="bilinear")
MAPS = {
    "activations": lambda x: functional.gelu(x) + functional.leaky_relu(x) + x.tanh() + x.relu() + x.sin() * x.cos(),
    "powers": lambda x: (x.abs() + 1).rsqrt() + (x.abs() + 1).log() + x**3 + (x.abs() + 1) ** 0.5 + x.erf(),
    "comparisons": lambda x: torch.where((x > 0.1) & (x <= 0.9), x, -x) + (x != 0).float() + (x >= 0.5) * (x < 0.7),
    "pool and resize": lambda x: functional.interpolate(functional.max_pool2d(x, 2), scale_factor=2.0),
    "resize to": lambda x: functional.interpolate(x[:, :, ::2, ::2], size=x.shape[2:]),
    "bilinear": lambda x: functional.interpolate(
        functional.interpolate(x, scale_factor=0.5, mode="bilinear"), scale_factor=2.0, mode="bilinear"
    ),
    "bilinear to": lambda x: functional.interpolate(
        x[:, :, ::2, ::2], size=x.shape[2:], mode="bilinear", align_corners=True
    ),
    "sampled": lambda x: functional.grid_sample(x, 1.2 * x[:, :2].permute(0, 2, 3, 1) - 0.3, align_corners=False),
    "reordered": lambda x: x + x[:, [2, 0, 1]],
    "rows by number": lambda x: x + torch.arange(4096.0)[x.flatten(1).topk(1, 1)[1]][..., None, None] / 4096,
    "pad": lambda x: functional.pad(x, (1, 0, 2, 1), value=0.5)[:, :, 2:-1, 1:],
    "split and stack": lambda x: torch.cat([x.split([1, 2], 1)[1], x.select(1, 0).unsqueeze(1)], 1),
    "softmax": lambda x: x.softmax(1) + x.mean(1, keepdim=True) + x.amin((2, 3), keepdim=True),
    "layer norm": lambda x: functional.layer_norm(x.permute(0, 2, 3, 1), (3,)).permute(0, 3, 1, 2),
    "top k": lambda x: x + x.flatten(2).topk(3, 2)[0].sum(2)[..., None, None],
    "sorted, ties in order": lambda x: (
        x + (x > 0.5).float().flatten(2).sort(dim=2, descending=True, stable=True)[1].view_as(x) / 999
    ),
    "gather": lambda x: x + x.flatten(2).gather(2, x.flatten(2).topk(2, 2)[1]).amax(2)[..., None, None],
    "filled": lambda x: x + torch.full_like(x, 0.25) + torch.ones(x.shape[2], x.shape[3]) * 0.5,
    "from no input": lambda x: x + (torch.arange(3.0).fmod(2) + torch.ones(3).cumsum(0))[:, None, None],
    "limits": lambda x: x.clamp(0.2, 0.8) + torch.maximum(x, x.mean()) + torch.minimum(x, 1 - x),
}


class Mapped(ToyDetector):
    """The toy detector behind a function of the image."""

    def __init__(self, change):
        super().__init__()
        self.change = change
        self.norm = nn.BatchNorm2d(3, affine=False)

    def forward(self, images_B3HW, text_embeddings, *, return_features=False):
        return super().forward(self.norm(self.change(images_B3HW))[:, :3], text_embeddings)


@pytest.mark.parametrize("name", MAPS)
def test_numbers_are_those_of_torch(tmp_path, name):
    torch.manual_seed(0)
    batches = [toy_inputs()[0], torch.rand(3, 3, 32, 20)]
    written = write_verified_onnx(tmp_path / "m.onnx", Mapped(MAPS[name]).eval(), batches, OnnxSpec(form="fp32"))
    assert written.parity.largest_score_difference < 1e-5
    assert np.isfinite(written.parity.largest_box_difference_px)


def test_rolled_maps_of_one_size(tmp_path):
    """Free sides would make the shift a remainder of a size, which nobody writes."""
    torch.manual_seed(0)
    detector = Mapped(lambda x: x.roll((1, -2), (2, 3))).eval()
    spec = OnnxSpec(form="fp32", image_size_px=(32, 32))
    written = write_verified_onnx(tmp_path / "m.onnx", detector, [torch.rand(1, 3, 32, 32)], spec)
    assert written.parity.largest_score_difference < 1e-5
