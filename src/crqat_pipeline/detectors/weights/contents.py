"""The tensors of a weight file by their own keys, whatever container they came in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from crqat_pipeline.detectors.weights.array_pickle import load_array_pickle
from crqat_pipeline.detectors.weights.outcome import WeightsRefused
from crqat_pipeline.detectors.weights.restricted_pickle import StandIn, load_pickled
from crqat_pipeline.runtime.tensor_file import TensorFileError, read_tensors

TEXT_BANK_TENSOR = "text_bank.embeddings"
"""Embeddings of the prompts that come with a checkpoint of ours."""
MAX_MODULES, MAX_DEPTH = 100_000, 100
MAX_GROWTH, SPARE_BYTES = 8, 16 * 2**20
"""Names may share a storage; half of what is read may be views of the other half, not a thousand times as much."""


@dataclass(frozen=True)
class WeightFile:
    """tensors: by the file's own keys, on CPU, detached. container: safetensors, state dict or module tree.

    prompts: the names of the vocabulary stored beside the weights, if any; text_embeddings: their embeddings.
    """

    path: Path
    container: str
    tensors: Mapping[str, Tensor]
    prompts: tuple[str, ...] = ()
    text_embeddings: Tensor | None = None


def read_weights(path: str | Path) -> WeightFile:
    """Read a .safetensors, .pth, .pt or (detectron2's, of arrays) .pkl file without executing anything in it.

    Module trees (Ultralytics) prefer `ema` over `model`; training checkpoints (mmyolo) give their `state_dict`.
    Raises FileNotFoundError, and WeightsRefused for unsafe files or files without weights.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"No weight file at {path}. Check the path, or give an https:// or hf:// source.")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    content = load_array_pickle(path) if _is_plain_pickle(path) else load_pickled(path)
    if isinstance(content, Mapping):
        for name in ("ema", "model"):
            if isinstance(content.get(name), StandIn):
                return _from_tree(path, content[name])
        for name in ("state_dict", "ema_state_dict", "model"):
            if _is_state_dict(content.get(name)):
                return _from_state_dict(path, content[name])
        if _is_state_dict(content):
            return _from_state_dict(path, content)
        entries = [key[:50] for key in list(content)[:10] if isinstance(key, str)]
        raise WeightsRefused(
            f"{path.name} holds no weights under state_dict, model or ema; its entries are "
            f"{', '.join(entries) or 'none'}. Give a detector's checkpoint."
        )
    if isinstance(content, StandIn) and hasattr(content, "_modules"):
        return _from_tree(path, content)
    raise WeightsRefused(f"{path.name} holds a {type(content).__name__}, not weights. Give a detector's checkpoint.")


def _is_plain_pickle(path: Path) -> bool:
    """A .pkl that torch did not write; what torch writes may have any name."""
    with path.open("rb") as file:
        return path.suffix == ".pkl" and file.read(2) != b"PK"


def _read_safetensors(path: Path) -> WeightFile:
    """Any safetensors file; one of ours brings its prompts, and its checksum must be right."""
    try:
        tensors, header = read_tensors(path)
    except TensorFileError as error:
        raise WeightsRefused(f"{error} If it was downloaded, download it again.") from error
    text = tensors.pop(TEXT_BANK_TENSOR, None)
    bank = header.get("text_bank")
    prompts = bank.get("prompts") if isinstance(bank, dict) else None
    return WeightFile(path, "safetensors", tensors, tuple(map(str, prompts)) if isinstance(prompts, list) else (), text)


def _is_state_dict(value: Any) -> bool:
    return isinstance(value, Mapping) and any(isinstance(item, Tensor) for item in value.values())


def _from_state_dict(path: Path, state: Mapping[str, Any]) -> WeightFile:
    named = ((key, value.detach()) for key, value in _entries(state) if isinstance(value, Tensor))
    return WeightFile(path, "state dict", _bounded(path, named))


def _from_tree(path: Path, root: StandIn) -> WeightFile:
    tensors = _bounded(path, _walk(root, path))
    names, text = getattr(root, "names", ()), getattr(root, "txt_feats", None)
    listed = (
        list(names.values()) if isinstance(names, Mapping) else list(names) if isinstance(names, list | tuple) else []
    )
    prompts = tuple(listed) if all(isinstance(name, str) for name in listed) else ()
    text_embeddings = text.detach() if isinstance(text, Tensor) else None
    return WeightFile(path, "module tree", tensors, prompts, text_embeddings)


def _walk(root: StandIn, path: Path) -> Iterator[tuple[str, Tensor]]:
    """What state_dict() of a pickled module tree would hold, in its order."""
    open_modules: list[tuple[Any, str, int]] = [(root, "", 0)]
    for _ in range(MAX_MODULES):
        if not open_modules:
            return
        module, prefix, depth = open_modules.pop()
        if depth > MAX_DEPTH:
            break
        state = getattr(module, "__dict__", {})
        listed = state.get("_non_persistent_buffers_set")
        transient = listed if isinstance(listed, set | frozenset | list | tuple) else ()
        for group in ("_parameters", "_buffers"):
            for name, value in _entries(state.get(group)):
                if isinstance(value, Tensor) and name not in transient:
                    yield f"{prefix}{name}", value.detach()
        children = [(child, f"{prefix}{name}.", depth + 1) for name, child in _entries(state.get("_modules"))]
        open_modules.extend(reversed(children))
    raise WeightsRefused(
        f"{path.name} holds a module tree deeper than {MAX_DEPTH} or larger than {MAX_MODULES:,}, or one that contains "
        "itself. Save its state dict where it was made."
    )


def _entries(group: Any) -> list[tuple[str, Any]]:
    return (
        [(name, value) for name, value in group.items() if isinstance(name, str)] if isinstance(group, Mapping) else []
    )


def _bounded(path: Path, tensors: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors by name. Raises WeightsRefused for views that are far larger than what the file stores."""
    limit_bytes = MAX_GROWTH * path.stat().st_size + SPARE_BYTES
    kept: dict[str, Tensor] = {}
    for name, tensor in tensors:
        limit_bytes -= tensor.numel() * tensor.element_size()
        if limit_bytes < 0:
            raise WeightsRefused(f"{path.name} unfolds to far more than its {path.stat().st_size:,} bytes at {name!r}.")
        kept[name] = tensor
    if not kept:
        raise WeightsRefused(f"{path.name} holds no weights: no tensor in it has a name. Give a detector's checkpoint.")
    return kept
