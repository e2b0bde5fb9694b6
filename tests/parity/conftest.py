"""A small student of each version, aligned for deployment, and inputs for it."""

from __future__ import annotations

import copy
import json
from functools import cache

import pytest
import torch

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.export.bias_alignment import align_biases
from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized


@cache
def _student(version, text):
    options = json.loads(text)
    torch.manual_seed(version)
    detector = build_detector("yolo_world_open_shapes", version=version).eval()
    generator = torch.Generator().manual_seed(version)
    for module in detector.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            size = module.weight.shape
            module.weight.data = torch.rand(size, generator=generator) + 0.5
            module.weight.data[::5] *= -1
            module.weight.data[3] = 0.0
            module.bias.data = torch.randn(size, generator=generator) * 0.3
            module.running_mean.copy_(torch.randn(size, generator=generator) * 0.1)
            module.running_var.copy_(torch.rand(size, generator=generator) * 0.3 + 0.2)
    fast = {"weight_initialization": "minmax", "activation_initialization": "minmax"}
    prepare(detector, QuantSpec.parse("4-4-8", **{"keep_full_precision": (), **fast, **options}))
    images = torch.rand(2, 3, 96, 64, generator=generator)
    calibrate(detector, [(images, torch.randn(5, 64, generator=generator))], list(detector.parts))
    set_quantized(detector, list(detector.parts))
    return detector


@pytest.fixture
def make_student():
    """make_student(version, is_aligned=False, **fields of QuantSpec)."""

    def make(version=2, is_aligned=False, **options):
        student = copy.deepcopy(_student(version, json.dumps(options)))
        if is_aligned:
            align_biases(student)
        return student

    return make


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(9)
    return torch.rand(2, 3, 64, 96, generator=generator), torch.randn(7, 64, generator=generator)
