"""Small quantized detectors with awkward BatchNorms (negative gains, odd statistics)."""

from __future__ import annotations

import copy
from functools import cache

import torch

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.detectors.one_stage.contrast import Contrast
from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized

NAME = "yolo_world_open_shapes"


def small_detector(version=2, seed=0):
    torch.manual_seed(seed)
    detector = build_detector(NAME, version=version).eval()
    generator = torch.Generator().manual_seed(seed)
    for module in detector.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            size = module.weight.shape
            module.weight.data = torch.rand(size, generator=generator) + 0.5
            module.weight.data[::5] *= -1
            module.bias.data = torch.randn(size, generator=generator) * 0.3
            module.running_mean.copy_(torch.randn(size, generator=generator) * 0.1)
            module.running_var.copy_(torch.rand(size, generator=generator) * 0.3 + 0.2)
    return detector


@cache
def small_student(spec, version=2, parts=None, seed=0):
    """Shared between tests: copy it before changing it."""
    detector = small_detector(version, seed)
    prepare(detector, spec)
    parts = list(detector.parts) if parts is None else parts
    calibrate(detector, [small_inputs(2, seed=seed)], parts)
    set_quantized(detector, parts)
    return detector


def outspoken(student):
    """A copy whose scores are spread between 0 and 1; those of an untrained detector are all nearly 0."""
    copied = copy.deepcopy(student)
    for module in copied.modules():
        if isinstance(module, Contrast):
            module.bias.data.fill_(0.0)
            module.logit_scale.data.add_(2.0)
    return copied


def small_inputs(num_images=1, size_px=(96, 64), num_prompts=5, seed=1):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(num_images, 3, *size_px, generator=generator)
    return images, torch.randn(num_prompts, 64, generator=generator)


def minmax_spec(bits="4-4-8", **options):
    fast = {"weight_initialization": "minmax", "activation_initialization": "minmax"}
    return QuantSpec.parse(bits, **{"keep_full_precision": (), **fast, **options})
