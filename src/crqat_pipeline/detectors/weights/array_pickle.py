"""Pickles of NumPy arrays, as detectron2's model zoo has them, read without NumPy's own unpickling.

NumPy's functions take sizes and flags of a type from the file. Here they only write down what they are given; arrays
are then made from plain bytes and the types of a table.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crqat_pipeline.detectors.weights.outcome import WeightsRefused
from crqat_pipeline.detectors.weights.pickle_scan import scan_pickle
from crqat_pipeline.detectors.weights.restricted_pickle import RestrictedUnpickler

TYPE_CODES = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1"})


class _Type:
    """numpy.dtype: its code and byte order."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code, self.order = code, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


class _Array:
    """numpy.ndarray: shape, type, order and bytes."""

    shape: Any = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.type, self.is_fortran, self.raw = state

    def num_bytes(self) -> int:
        return len(self.raw) if self.shape is not None else 0

    def tensor(self) -> Tensor:
        if not isinstance(self.shape, tuple) or not isinstance(self.type, _Type):
            raise WeightsRefused("An array of the file has no shape or type.")
        if self.type.code not in TYPE_CODES or self.type.order not in "<>|=":
            raise WeightsRefused(f"An array of the file has the type {self.type.code!r}; numbers are read alone.")
        raw = self.raw.encode("latin1") if isinstance(self.raw, str) else bytes(self.raw)
        order = ">" if self.type.order == ">" else "<"
        array = np.frombuffer(raw, np.dtype(f"{order}{self.type.code}"))
        shaped = array.reshape(self.shape, order="F" if self.is_fortran else "C")
        return torch.from_numpy(np.array(shaped, dtype=shaped.dtype.newbyteorder("="), order="C"))


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _from_buffer(raw: Any, kind: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.__setstate__((1, shape, kind, order == "F", raw))
    return array


def _encode(text: str, encoding: str = "latin1") -> bytes:
    return text.encode("latin1") if encoding == "latin1" else text.encode("utf-8")


_NUMPY_CORES = ("numpy.core", "numpy._core")
_ARRAY_NAMES: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Type,
    ("numpy", "ndarray"): _Array,
    ("_codecs", "encode"): _encode,
    **{(f"{core}.multiarray", "_reconstruct"): _reconstruct for core in _NUMPY_CORES},
    **{(f"{core}.numeric", "_frombuffer"): _from_buffer for core in _NUMPY_CORES},
}


class _ArrayUnpickler(RestrictedUnpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ARRAY_NAMES:
            return _ARRAY_NAMES[module, name]
        return super().find_class(module, name)


def load_array_pickle(path: Path) -> dict[str, Any]:
    """The mapping in a plain pickle, its arrays (one level deeper too, as under "model") as tensors.

    Raises WeightsRefused, naming the file, for forbidden names, for what is no such pickle, and for arrays that
    together are larger than the file (bytes that are used again and again).
    """
    try:
        with path.open("rb") as file:
            scan_pickle(file)
            file.seek(0)
            content = _ArrayUnpickler(file, encoding="latin1").load()
        if not isinstance(content, Mapping):
            raise WeightsRefused(f"It holds a {type(content).__name__}, not weights by name.")
        arrays = [one for group in (content, *content.values()) for one in _arrays_of(group)]
        if sum(one.num_bytes() for one in arrays) > path.stat().st_size:
            raise WeightsRefused("Its arrays together are larger than the file.")
        return {
            str(key): _as_tensors(value) if isinstance(value, Mapping) else _as_tensor(value)
            for key, value in content.items()
        }
    except WeightsRefused as error:
        raise WeightsRefused(f"{path.name} is refused. {error}") from None
    except Exception as error:  # a damaged or hostile pickle can fail in any way
        first = (str(error).splitlines() or [""])[0][:200]
        raise WeightsRefused(
            f"{path.name} cannot be read as a pickle of arrays: {type(error).__name__}: {first}. It may be incomplete "
            "or of another kind; download it again."
        ) from (error if isinstance(error, pickle.UnpicklingError) else None)


def _arrays_of(value: Any) -> list[_Array]:
    return [one for one in value.values() if isinstance(one, _Array)] if isinstance(value, Mapping) else []


def _as_tensors(group: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key): _as_tensor(value) for key, value in group.items()}


def _as_tensor(value: Any) -> Any:
    return value.tensor() if isinstance(value, _Array) else value
