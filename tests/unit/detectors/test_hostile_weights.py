"""Files that would take for ever, all memory or a strange way: one sentence each, soon."""

from __future__ import annotations

import pickle
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from crqat_pipeline.detectors.weights import WeightsRefused, read_weights

LONGEST_S = 5.0


class Module:
    """Pickled under a name of torch.nn, so that a stand-in takes its place."""

    def __reduce__(self) -> tuple[object, ...]:
        return (torch.nn.Sequential, (), self.__dict__)


def zipped(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3\n")


def nested_keys(path: Path) -> None:
    """{key: 1} with a key of 2^60 paths; its hash is never known, so its steps are written by hand."""
    code = b"\x80\x02}K\x01\x85q\x00"
    for index in range(60):
        code += b"h" + bytes([index]) + b"h" + bytes([index]) + b"\x86q" + bytes([index + 1])
    zipped(path, code + b"K\x01s.")


def cyclic_tree(path: Path) -> None:
    module = Module()
    module.__dict__["_modules"] = {"self": module}
    torch.save({"model": module}, path)


def broad_tree(path: Path) -> None:
    module = Module()
    for _ in range(60):
        above = Module()
        above.__dict__["_modules"] = {"a": module, "b": module}
        module = above
    torch.save({"model": module}, path)


def text_as_state(path: Path) -> None:
    module = Module()
    module.__dict__ |= {"_modules": "text", "_parameters": "text", "_buffers": 3, "names": 7}
    torch.save({"model": module}, path)


def lists_of_lists(path: Path) -> None:
    value: list[object] = []
    for _ in range(60):
        value = [value, value]
    torch.save({"state": value, "model": "text"}, path)


def deep_lists(path: Path) -> None:
    path.write_bytes(b"\x80\x02" + b"(" * 200_000 + b"l" * 200_000 + b".")


def huge_view(path: Path) -> None:
    torch.save({"weight": torch.zeros(1).expand(10**11)}, path)


MADE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "zip bomb": lambda path: zipped(path, b"\x80\x02" + b"N0" * 20_000_000 + b"N."),
    "nested keys": nested_keys,
    "cyclic tree": cyclic_tree,
    "broad tree": broad_tree,
    "text as state": text_as_state,
    "lists of lists": lists_of_lists,
    "deep lists": deep_lists,
    "huge view": huge_view,
    "text": lambda path: path.write_text("weights"),
    "pickled text": lambda path: path.write_bytes(pickle.dumps("weights")),
    "state is a text": lambda path: torch.save({"state_dict": "text"}, path),
    "state is empty": lambda path: torch.save(OrderedDict(), path),
    "zip without pickle": lambda path: zipped(path, b""),
    "magic alone": lambda path: path.write_bytes(b"PK\x03\x04"),
    "one opcode": lambda path: path.write_bytes(b"\x80"),
}


@pytest.mark.parametrize("kind", MADE)
def test_it_is_refused_in_one_sentence_and_soon(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    MADE[kind](path)
    start_s = time.process_time()
    with pytest.raises(WeightsRefused) as refusal:
        read_weights(path)
    assert time.process_time() - start_s < LONGEST_S
    assert path.name in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_no_text_in_a_file_is_imported(tmp_path: Path) -> None:
    from crqat_pipeline.model_files.detector_row import DetectorRow

    for name in ("os:system", "subprocess:run", "a/b", ""):
        with pytest.raises(ValueError, match="pattern"):
            DetectorRow.model_validate({"name": name, "options": {}})
