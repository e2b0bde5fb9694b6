"""Unpickling that can build tensors and inert stand-ins, and nothing else.

A pickle names the functions and classes it wants called. Here tensor rebuilding is allowed by exact name, classes
of known training frameworks become stand-ins without behaviour, and any other name is refused.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from crqat_pipeline.detectors.weights.outcome import WeightsRefused
from crqat_pipeline.detectors.weights.pickle_scan import check_container

STAND_IN_ROOTS = (
    "ultralytics", "mmengine", "mmcv", "mmdet", "mmyolo", "mmpretrain", "yolo_world", "transformers",
    "numpy", "pathlib", "datetime", "argparse",
)  # fmt: skip
STAND_IN_PREFIXES = ("torch.nn.", "torch.optim.", "torchvision.transforms.")
STAND_IN_NAMES = frozenset({("_codecs", "encode"), ("types", "SimpleNamespace"), ("torch", "device")})
PLAIN_NAMES: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "slice"): slice,
    ("builtins", "complex"): complex,
    ("__builtin__", "set"): set,
    ("torch", "Size"): torch.Size,
}
TENSOR_BUILDERS: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch._utils", "_rebuild_tensor"): torch._utils._rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
}
REAL_MODULES = {"posix": "os", "nt": "os"}


class StandIn:
    """Takes the place of any class or function of a foreign framework: keeps what it is given, does nothing."""

    qualified_name = ""

    def __new__(cls, *args: Any, **kwargs: Any) -> StandIn:
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.arguments = args

    def __setstate__(self, state: Any) -> None:
        parts = state if isinstance(state, tuple) else (state,)
        for part in parts:
            if isinstance(part, dict):
                self.__dict__.update({str(key): value for key, value in part.items()})

    def __setitem__(self, key: Any, value: Any) -> None:
        self.__dict__.setdefault("items", {})[str(key)] = value

    def append(self, value: Any) -> None:
        self.__dict__.setdefault("elements", []).append(value)

    def extend(self, values: Any) -> None:
        for value in values:
            self.append(value)

    add = append


class RestrictedUnpickler(pickle.Unpickler):
    """Raises WeightsRefused for every name outside the tables above."""

    def find_class(self, module: str, name: str) -> Any:
        key = (module, name)
        if key in PLAIN_NAMES:
            return PLAIN_NAMES[key]
        if key in TENSOR_BUILDERS:
            build = TENSOR_BUILDERS[key]
            return lambda *args: build(*args)  # a throw-away: a pickle may write attributes of what it gets
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        is_known = key in STAND_IN_NAMES or module.startswith(STAND_IN_PREFIXES)
        if is_known or module.split(".")[0] in STAND_IN_ROOTS:
            return type(name, (StandIn,), {"qualified_name": f"{module}.{name}"})
        real = REAL_MODULES.get(module, module)
        also = f" ({real}.{name})" if real != module else ""
        raise WeightsRefused(
            f"The pickle asks for {module}.{name}{also}, which is neither a tensor nor a class of a known training "
            "framework: it could run code. Load it where it was made and save its state dict as safetensors."
        )


def _load(file: Any, **options: Any) -> Any:
    return RestrictedUnpickler(file, **options).load()


_PICKLE = SimpleNamespace(Unpickler=RestrictedUnpickler, load=_load, __name__="restricted_pickle")


def load_pickled(path: Path) -> Any:
    """The object in a torch file: torch's own weights-only loader first, then the restricted unpickler.

    Raises WeightsRefused, naming the file, for forbidden names and for files that are no torch files.
    """
    try:
        check_container(path)
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:
            return torch.load(path, map_location="cpu", weights_only=False, pickle_module=_PICKLE)
    except WeightsRefused as error:
        raise WeightsRefused(f"{path.name} is refused. {error}") from None
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged or hostile pickle can fail in any way
        reason = (str(error).splitlines() or ["no reason given"])[0][:200]
        raise WeightsRefused(
            f"{path.name} cannot be read as a torch file: {type(error).__name__}: {reason}. "
            "It may be incomplete or of another kind; download it again, or give a .pth, .pt or .safetensors file."
        ) from error
