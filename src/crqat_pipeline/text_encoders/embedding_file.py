"""Read embeddings (npy, safetensors) and the names of their rows (JSON).

Shape letters: K rows, D embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from crqat_pipeline.runtime.json_file import read_json_file
from crqat_pipeline.runtime.tensor_file import open_tensors
from crqat_pipeline.structures.category_name import plain_name, prompt_names, spelled_names

Names = tuple[str, ...]


def _require_file(path: Path, what: str) -> None:
    if not path.is_file():
        raise ValueError(f"{what} {path} does not exist. Check the path.")


def _read_npy(path: Path) -> Tensor:
    try:
        values = np.load(path, allow_pickle=False)
    except Exception as error:  # NumPy raises anything over a damaged header
        raise ValueError(f"Embedding file {path} is not a readable array ({error}). Give one .npy array.") from error
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
    norms_K = embeddings_KD.norm(dim=-1)  # infinite where a value is, and where squares pass what a float holds
    for rule, wrong_K in (("finite", ~norms_K.isfinite()), ("longer than zero", norms_K == 0)):
        if wrong_K.any():
            rows = wrong_K.nonzero().flatten().tolist()
            raise ValueError(
                f"Rows of embedding file {path} must be {rule}; {len(rows)} of {len(norms_K)} are not, the first is "
                f"row {rows[0]}. Embed those names again."
            )
    return embeddings_KD


def shape_of(path: Path) -> tuple[int, ...]:
    """Of the first array of an embedding file, from its header alone. Raises whatever a damaged one provokes."""
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            return tuple(file.get_slice(next(iter(file.keys()))).get_shape())
    return tuple(np.load(path, mmap_mode="r", allow_pickle=False).shape)


def _names_of(entry: Any) -> Names:
    if isinstance(entry, str):
        return (entry,)
    if isinstance(entry, Mapping):
        first, *others = prompt_names(entry)
        exact = (str(entry["name"]),) if entry.get("name") else ()
        return tuple(dict.fromkeys((first, *exact, *others, *_spelled(entry))))
    if isinstance(entry, Sequence) and entry and all(isinstance(name, str) for name in entry):
        return tuple(entry)
    raise ValueError(f"A row's names must be a text, a list of texts, or a category with a name; got {entry!r:.80}.")


def _spelled(entry: Mapping[str, Any]) -> Names:
    """Objects365's records do not tell that they are: their single names count too, behind the names as written."""
    try:
        return spelled_names(entry)
    except ValueError:
        return ()


def read_row_names(path: Path) -> list[Names]:
    """All names of each row, the prompt first.

    The file holds a JSON list of names, of lists of synonyms, or of LVIS, COCO or Objects365 categories. An
    annotation file serves too: its categories in id order. Raises ValueError for anything else.
    """
    content = read_json_file(path, "A names file")
    if isinstance(content, dict) and "categories" in content:
        content = _in_id_order(content["categories"], path)
    if not isinstance(content, list):
        raise ValueError(f"Names file {path} must hold a list, one entry per row; got {type(content).__name__}.")
    try:
        return [_names_of(entry) for entry in content]
    except TypeError as error:
        raise ValueError(f"Names of {path} must be texts or lists of texts ({error}). Write the file again.") from error


def _in_id_order(categories: Any, path: Path) -> list[Any]:
    try:
        return sorted(categories, key=lambda category: int(category["id"]))
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"Categories of names file {path} must be records with an id each ({error!r}).") from error


def read_bank_names(path: Path) -> tuple[list[Names], str]:
    """Names of the rows of a text bank, which stand in its header, and the encoder that made it.

    Raises ValueError for a file that names no rows.
    """
    _require_file(path, "Embedding file")
    header = open_tensors(path)[1] if path.suffix == ".safetensors" else {}
    prompts = header.get("prompts")
    if not isinstance(prompts, list) or not all(isinstance(prompt, str) for prompt in prompts):
        raise ValueError(
            f"Embedding file {path} does not name its rows, as a text bank does. Give their names beside it: a JSON "
            "list of names, of lists of synonyms, or an annotation file, in row order."
        )
    return [(prompt,) for prompt in prompts], str(header.get("encoder", ""))


def matching_key(prompt: str) -> str:
    """What two spellings of a name have in common: case, underscores and qualifiers do not count."""
    return plain_name(prompt).lower()
