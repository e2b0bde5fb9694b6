"""Pickles of NumPy arrays are read without NumPy's unpickling, and without anything else that a pickle asks for."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from crqat_pipeline.detectors.weights import WeightsRefused, read_weights

VALUES = np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32)


def _file(folder: Path, content: Any, protocol: int = 2) -> Path:
    path = folder / "model_final.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_arrays_become_tensors(tmp_path: Path, protocol: int) -> None:
    arrays = {
        "a": VALUES,
        "fortran": np.asfortranarray(VALUES),
        "big endian": VALUES.astype(">f4"),
        "strided": VALUES[::2],
        "scalar": np.array(7, np.int64),
        "half": VALUES.astype(np.float16),
    }
    file = read_weights(_file(tmp_path, {"model": arrays, "__author__": "somebody"}, protocol))
    assert set(file.tensors) == set(arrays)
    for key, value in arrays.items():
        native = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("="))
        assert torch.equal(file.tensors[key].reshape(value.shape), torch.from_numpy(native).reshape(value.shape)), key


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "ran"),)

    with pytest.raises(WeightsRefused, match="could run code"):
        read_weights(_file(tmp_path, {"model": {"a": VALUES, "b": Hostile()}}))
    assert not (tmp_path / "ran").exists()


def test_bytes_that_are_used_again_and_again_are_refused(tmp_path: Path) -> None:
    class Same:
        """One array, written as another object each time over the same bytes."""

        def __init__(self, raw: bytes) -> None:
            self.raw = raw

        def __reduce__(self) -> Any:
            return np.zeros(0).__reduce__()[0], (np.ndarray, (0,), b"b"), (1, (1000,), np.dtype("u1"), False, self.raw)

    raw = bytes(1000)
    with pytest.raises(WeightsRefused, match="larger than the file"):
        read_weights(_file(tmp_path, {"model": {str(number): Same(raw) for number in range(100)}}))


@pytest.mark.parametrize(
    "content", [[1, 2], {"model": {"a": np.array(["x"], object)}}, {"model": {"a": np.array(["text"])}}, {"model": 3}]
)
def test_what_holds_no_numbers_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(WeightsRefused, match=r"model_final\.pkl"):
        read_weights(_file(tmp_path, content))


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    path = _file(tmp_path, {"model": {"a": VALUES}})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(WeightsRefused, match=r"model_final\.pkl"):
        read_weights(path)
