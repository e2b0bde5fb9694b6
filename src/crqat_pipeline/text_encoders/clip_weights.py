"""The text part of CLIP checkpoints, read without executing them.

Names of open_clip and Hugging Face checkpoints follow docs of both projects; only tensors are read.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

_LAYER = re.compile(r"text_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
_LAYER_NAMES = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_OTHER_NAMES = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
}


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        content = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (pickle.UnpicklingError, RuntimeError, EOFError, SafetensorError) as error:
        raise ValueError(
            f"{path} is not a checkpoint of plain tensors ({str(error).splitlines()[0]}). TorchScript archives are "
            "not read: use the open_clip or Hugging Face form of the weights."
        ) from error
    content = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(f"{path} must hold named tensors; got {type(content).__name__}.")
    return {str(name).removeprefix("module."): value for name, value in content.items()}


def _from_hugging_face(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Hugging Face names -> open_clip names; q, k, v are stacked, the projection is transposed."""
    result = {new: tensors[old] for old, new in _OTHER_NAMES.items() if old in tensors}
    if "text_projection.weight" in tensors:
        result["text_projection"] = tensors["text_projection.weight"].T.contiguous()
    for name, tensor in tensors.items():
        match = _LAYER.fullmatch(name)
        if match is None:
            continue
        layer, module, kind = match.groups()
        prefix = f"transformer.resblocks.{layer}."
        if module in _LAYER_NAMES:
            result[f"{prefix}{_LAYER_NAMES[module]}.{kind}"] = tensor
        elif module == "self_attn.q_proj":
            stack = [name.replace("q_proj", f"{part}_proj") for part in "qkv"]
            result[f"{prefix}attn.in_proj_{kind}"] = torch.cat([tensors[part] for part in stack])
    return result


def load_text_weights(tower: nn.Module, path: Path) -> None:
    """Load the text part of a CLIP checkpoint (open_clip or Hugging Face; safetensors or torch) into the tower.

    Raises ValueError if tensors are missing or have other shapes; the tower is then unchanged.
    """
    tensors = _read_tensors(path)
    if any(name.startswith("text_model.") for name in tensors):
        tensors = _from_hugging_face(tensors)
    expected = tower.state_dict()
    found = {name: tensors[name] if name in tensors else tensors.get(f"text.{name}") for name in expected}
    missing = [name for name, tensor in found.items() if tensor is None]
    shapes = [
        f"{name} {tuple(tensor.shape)} instead of {tuple(expected[name].shape)}"
        for name, tensor in found.items()
        if tensor is not None and tensor.shape != expected[name].shape
    ]
    if missing or shapes:
        raise ValueError(
            f"{path} does not fit the text tower: {len(missing)} tensors missing {missing[:3]}, {len(shapes)} of "
            f"another shape {shapes[:3]}. Give weights of the same model name."
        )
    tower.load_state_dict(found)
