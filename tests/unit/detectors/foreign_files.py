"""Synthetic weight files in the two published layouts, pickled as the training frameworks pickle theirs."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from crqat_pipeline.detectors.yolo_world.key_layouts import MMYOLO, ULTRALYTICS
from crqat_pipeline.detectors.yolo_world.loading import to_layout


class _Foreign:
    """Makes classes of modules that are not installed, for the time of a `with` block."""

    def __init__(self) -> None:
        self.added: list[str] = []

    def __enter__(self) -> _Foreign:
        return self

    def __exit__(self, *_: object) -> None:
        for name in self.added:
            sys.modules.pop(name, None)

    def new(self, module: str, name: str, base: type = object) -> type:
        parts = module.split(".")
        for depth in range(1, len(parts) + 1):
            package = ".".join(parts[:depth])
            if package not in sys.modules:
                sys.modules[package] = ModuleType(package)
                self.added.append(package)
        made = type(name, (base,), {"__module__": module})
        setattr(sys.modules[module], name, made)
        return made


def save_mmyolo(path: Path, detector: nn.Module, version: int, **extra: Any) -> None:
    """state_dict beside a training state whose classes torch's weights-only loader refuses."""
    state: dict[str, Any] = to_layout(detector.state_dict(), MMYOLO, version)
    state["backbone.text_model.model.text_projection.weight"] = torch.zeros(2, 2)
    state.update(extra)
    with _Foreign() as foreign:
        buffer = foreign.new("mmengine.logging.history_buffer", "HistoryBuffer")()
        buffer.values = [1.0, 2.0]
        torch.save({"meta": {"epoch": 3}, "state_dict": state, "message_hub": {"loss": buffer}}, path)


def save_ultralytics(path: Path, detector: nn.Module, version: int, names: Mapping[int, str]) -> None:
    """A half-precision module tree under `model`, as their trainer writes it."""
    state = to_layout(detector.state_dict(), ULTRALYTICS, version)
    head = 23 if version == 1 else 22
    state[f"model.{head}.dfl.conv.weight"] = torch.arange(16.0).reshape(1, 16, 1, 1)
    with _Foreign() as foreign:
        world = foreign.new("ultralytics.nn.tasks", "WorldModel", nn.Module)
        block = foreign.new("ultralytics.nn.modules.block", "C2fAttn", nn.Module)
        tree = world()
        for key, tensor in state.items():
            _place(tree, key.split("."), tensor.half() if tensor.is_floating_point() else tensor, block)
        tree.names, tree.txt_feats = dict(names), torch.eye(len(names), 512)[None]
        torch.save({"epoch": -1, "ema": None, "model": tree, "date": "2024-01-01"}, path)


def _place(tree: nn.Module, parts: list[str], tensor: Tensor, block: type) -> None:
    for part in parts[:-1]:
        if part not in tree._modules:
            tree.add_module(part, block())
        tree = tree._modules[part]  # type: ignore[assignment]
    is_buffer = parts[-1].startswith("running_") or parts[-1] == "num_batches_tracked"
    if is_buffer:
        tree.register_buffer(parts[-1], tensor)
    else:
        tree.register_parameter(parts[-1], nn.Parameter(tensor, requires_grad=tensor.is_floating_point()))


class Command:
    """Pickles into a call of any function by name."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def save_hostile(path: Path, function: Any, *arguments: Any, is_bare: bool = False) -> None:
    """A torch file, or a bare pickle, that calls `function` when read naively."""
    content = {"state_dict": {"weight": torch.zeros(1)}, "meta": Command(function, *arguments)}
    if is_bare:
        path.write_bytes(pickle.dumps(content["meta"]))
    else:
        torch.save(content, path)
