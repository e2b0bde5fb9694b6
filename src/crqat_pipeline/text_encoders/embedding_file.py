"""Read embeddings (npy, safetensors) and the names of their rows (JSON).

Shape letters: K rows, D embedding.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from crqat_pipeline.structures.category_name import plain_name, prompt_names

Names = tuple[str, ...]


def _require_file(path: Path, what: str) -> None:
    if not path.is_file():
        raise ValueError(f"{what} {path} does not exist. Check the path.")


def _read_npy(path: Path) -> Tensor:
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"Embedding file {path} is not a readable array ({error}).") from error
    if not isinstance(values, np.ndarray) or not np.issubdtype(values.dtype, np.floating):
        raise ValueError(f"Embedding file {path} must hold one array of floats.")
    return torch.from_numpy(values.astype(np.float32))


def _read_safetensors(path: Path) -> Tensor:
    try:
        with safe_open(path, framework="pt") as file:
            keys = list(file.keys())
            if len(keys) != 1:
                raise ValueError(f"Embedding file {path} must hold exactly one tensor; it holds {keys[:10]}.")
            tensor: Tensor = file.get_tensor(keys[0])
    except SafetensorError as error:
        raise ValueError(f"Embedding file {path} is not a readable safetensors file ({error}).") from error
    return tensor.float()


READERS = {".npy": _read_npy, ".safetensors": _read_safetensors}


def read_embeddings(path: Path) -> Tensor:
    """embeddings_KD as float32. Raises ValueError for what is not a finite two-dimensional array."""
    if path.suffix not in READERS:
        raise ValueError(f"Embedding files are {' or '.join(READERS)}; got {path.name!r}.")
    _require_file(path, "Embedding file")
    embeddings_KD = READERS[path.suffix](path)
    if embeddings_KD.ndim != 2 or 0 in embeddings_KD.shape:
        raise ValueError(f"Embedding file {path} must be (prompts, dim); got {tuple(embeddings_KD.shape)}.")
    if not embeddings_KD.isfinite().all():
        raise ValueError(f"Embedding file {path} holds values that are not finite.")
    return embeddings_KD


def _names_of(entry: Any) -> Names:
    if isinstance(entry, str):
        return (entry,)
    if isinstance(entry, Mapping):
        first, *others = prompt_names(entry)
        exact = (str(entry["name"]),) if "name" in entry else ()
        return tuple(dict.fromkeys((first, *exact, *others)))
    if isinstance(entry, Sequence) and entry and all(isinstance(name, str) for name in entry):
        return tuple(entry)
    raise ValueError(f"A row's names must be a text, a list of texts, or a category with a name; got {entry!r:.80}.")


def read_row_names(path: Path) -> list[Names]:
    """All names of each row, the prompt first.

    The file holds a JSON list of names, of lists of synonyms, or of LVIS, COCO or Objects365 categories. An
    annotation file serves too: its categories in id order.
    """
    _require_file(path, "Names file")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"Names file {path} is not JSON ({error}).") from error
    if isinstance(content, dict) and "categories" in content:
        content = sorted(content["categories"], key=lambda category: category["id"])
    if not isinstance(content, list):
        raise ValueError(f"Names file {path} must hold a list, one entry per row; got {type(content).__name__}.")
    return [_names_of(entry) for entry in content]


def matching_key(prompt: str) -> str:
    """What two spellings of a name have in common: case, underscores and qualifiers do not count."""
    return plain_name(prompt).lower()
