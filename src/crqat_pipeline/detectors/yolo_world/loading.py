"""Weights of either published format, or this project's own, into a YOLO-World."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from crqat_pipeline.detectors.weights import LoadReport, WeightFile, WeightsRefused, local_file, read_weights
from crqat_pipeline.detectors.yolo_world.identity import Identity, check_fits, identify
from crqat_pipeline.detectors.yolo_world.key_layouts import KeyLayout
from crqat_pipeline.detectors.yolo_world.spec import YoloWorldSpec

SKIP_REASONS = {
    "backbone.text_model.": "frozen text encoder",
    "clip_model.": "frozen text encoder",
    "embeddings": "tuned prompt embeddings",
    "adapter.": "text adapter",
    "data_preprocessor.": "image mean and deviation",
}
COUNTER = "num_batches_tracked"


def load_weights(detector: nn.Module, spec: YoloWorldSpec, source: str | Path) -> LoadReport:
    """Set every tensor of the detector from a path, hf:// or https:// source.

    Raises WeightsRefused, with the detector untouched, when the file is unsafe, of another kind, or does not fit.
    """
    path = local_file(source)
    file = read_weights(path)
    identity = identify(file.tensors, path.name)
    check_fits(identity, spec, path.name)
    state, report = translate(file, identity, detector.state_dict())
    detector.load_state_dict(state)
    return report


def translate(
    file: WeightFile, identity: Identity, expected: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], LoadReport]:
    """The tensors of a file under the keys, shapes and dtypes of `expected`, and what was done.

    `expected` may live on the meta device. Raises WeightsRefused when a tensor is missing, surplus or of another
    shape.
    """
    keys = {key: identity.layout.foreign_key(key, identity.version) for key in expected}
    missing = [there for here, there in keys.items() if there not in file.tensors and not here.endswith(COUNTER)]
    _refuse_if(missing, "lacks", file, identity)
    known = set(keys.values())
    extra = [key for key in file.tensors if key not in known]
    _refuse_if([key for key in extra if identity.layout.owns(key, identity.version)], "has unknown", file, identity)

    state, reshaped, unlike = {}, [], []
    for here, there in keys.items():
        wanted = expected[here]
        tensor = file.tensors.get(there, torch.zeros(wanted.shape, dtype=wanted.dtype))
        if tensor.shape != wanted.shape:
            if not (tensor.numel() == wanted.numel() == 1):
                unlike.append(f"{there} {list(tensor.shape)} instead of {list(wanted.shape)}")
                continue
            reshaped.append((here, tuple(tensor.shape), tuple(wanted.shape)))
        state[here] = tensor.reshape(wanted.shape).to(wanted.dtype)
    _refuse_if(unlike, "has other shapes:", file, identity)
    skipped = tuple((key, _reason(key)) for key in extra)
    report = LoadReport(str(file.path), str(identity), tuple(state), skipped, tuple(reshaped))
    return state, report


def to_layout(tensors: Mapping[str, Tensor], layout: KeyLayout, version: int) -> dict[str, Tensor]:
    """A detector's state dict under the keys and shapes of a layout."""
    renamed = {}
    for key, tensor in tensors.items():
        is_contrast_bias = key.startswith("head.contrasts.") and key.count(".") == 3 and key.endswith(".bias")
        renamed[layout.foreign_key(key, version)] = tensor.reshape(layout.bias_shape) if is_contrast_bias else tensor
    return renamed


def _reason(key: str) -> str:
    if key.endswith(".dfl.conv.weight"):
        return "constant bin values"
    return next((why for start, why in SKIP_REASONS.items() if key.startswith(start)), "outside the image detector")


def _refuse_if(keys: list[str], verb: str, file: WeightFile, identity: Identity) -> None:
    if keys:
        more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
        raise WeightsRefused(
            f"{file.path.name} ({identity}) {verb} {', '.join(keys[:3])}{more}. It may be cut, of another depth, or "
            "quantized; give a complete full-precision checkpoint."
        )
