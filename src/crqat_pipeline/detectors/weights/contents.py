"""The tensors of a weight file by their own keys, whatever container they came in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from crqat_pipeline.detectors.weights.report import WeightsRefused
from crqat_pipeline.detectors.weights.restricted_pickle import StandIn, load_pickled


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
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_weights(path: str | Path) -> WeightFile:
    """Read a .safetensors, .pth or .pt file without executing anything in it.

    Module trees (Ultralytics) prefer `ema` over `model`; training checkpoints (mmyolo) give their `state_dict`.
    Raises FileNotFoundError, and WeightsRefused for unsafe files or files without weights.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"No weight file at {path}. Check the path, or give an https:// or hf:// source.")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    content = load_pickled(path)
    if isinstance(content, Mapping):
        for name in ("ema", "model"):
            if isinstance(content.get(name), StandIn):
                return _from_tree(path, content[name])
        for name in ("state_dict", "ema_state_dict", "model"):
            if _is_state_dict(content.get(name)):
                return _from_state_dict(path, content[name])
        if _is_state_dict(content):
            return _from_state_dict(path, content)
        raise WeightsRefused(
            f"{path.name} holds no weights under state_dict, model or ema; its entries are "
            f"{', '.join(map(str, list(content)[:10])) or 'none'}. Give a detector's checkpoint."
        )
    if isinstance(content, StandIn) and hasattr(content, "_modules"):
        return _from_tree(path, content)
    raise WeightsRefused(f"{path.name} holds a {type(content).__name__}, not weights. Give a detector's checkpoint.")


def _read_safetensors(path: Path) -> WeightFile:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
            return WeightFile(path, "safetensors", tensors, metadata=file.metadata() or {})
    except SafetensorError as error:
        raise WeightsRefused(
            f"{path.name} cannot be read as safetensors: {error}. It may be incomplete; download it again."
        ) from error


def _is_state_dict(value: Any) -> bool:
    return isinstance(value, Mapping) and any(isinstance(item, Tensor) for item in value.values())


def _from_state_dict(path: Path, state: Mapping[str, Any]) -> WeightFile:
    tensors = {str(key): value.detach() for key, value in state.items() if isinstance(value, Tensor)}
    return WeightFile(path, "state dict", tensors)


def _from_tree(path: Path, root: StandIn) -> WeightFile:
    tensors = dict(_walk(root, ""))
    names = getattr(root, "names", ())
    prompts = names.values() if isinstance(names, Mapping) else names
    text = getattr(root, "txt_feats", None)
    return WeightFile(
        path,
        "module tree",
        tensors,
        tuple(map(str, prompts)) if isinstance(prompts, (list, tuple)) or isinstance(names, Mapping) else (),
        text.detach() if isinstance(text, Tensor) else None,
    )


def _walk(module: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """What state_dict() of a pickled module tree would hold."""
    state = getattr(module, "__dict__", {})
    transient = state.get("_non_persistent_buffers_set") or ()
    for group in ("_parameters", "_buffers"):
        for name, value in (state.get(group) or {}).items():
            if isinstance(value, Tensor) and name not in transient:
                yield f"{prefix}{name}", value.detach()
    for name, child in (state.get("_modules") or {}).items():
        yield from _walk(child, f"{prefix}{name}.")
