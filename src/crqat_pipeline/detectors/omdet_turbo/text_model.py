"""The text encoder inside an OmDet-Turbo file: CLIP's transformer, run on token numbers.

Shape letters: X texts, T tokens, D embedding.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

PREFIX = "language_backbone.model."
OLD_PREFIX = "text_model."
"""Older releases of transformers had one more level."""
HEAD_WIDTH = 64


def text_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the text encoder under its own keys; empty for a file without one."""
    found = {key.removeprefix(PREFIX): value for key, value in tensors.items() if key.startswith(PREFIX)}
    return {
        key.removeprefix(OLD_PREFIX): value
        for key, value in found.items()
        if not key.endswith("embeddings.position_ids")
    }


@torch.no_grad()
def encode_tokens(text: Mapping[str, Tensor], tokens: Sequence[Sequence[int]], folder: Path) -> Tensor:
    """(X, T, D): the last hidden states of texts of equal length.

    folder: where config.json lies, if anywhere; it is asked for the number of heads, else these are 64 numbers wide.
    """
    from transformers import CLIPTextConfig, CLIPTextModel

    vocabulary, width = text["embeddings.token_embedding.weight"].shape
    layers = 1 + max(int(key.split(".")[2]) for key in text if key.startswith("encoder.layers."))
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=text["encoder.layers.0.mlp.fc1.weight"].shape[0],
        num_hidden_layers=layers,
        num_attention_heads=_num_heads(folder, width),
        max_position_embeddings=text["embeddings.position_embedding.weight"].shape[0],
        projection_dim=width,
    )
    with torch.device("meta"):
        model = CLIPTextModel(config)
    model.to_empty(device="cpu")
    state = {key: text[key.removeprefix(OLD_PREFIX)].float() for key in model.state_dict()}
    model.load_state_dict(state)
    for module in model.modules():
        if hasattr(module, "position_ids"):
            module.position_ids = torch.arange(config.max_position_embeddings).unsqueeze(0)
    hidden_XTD: Tensor = model.eval()(torch.tensor(tokens)).last_hidden_state
    return hidden_XTD


def _num_heads(folder: Path, width: int) -> int:
    path = folder / "config.json"
    if path.is_file():
        text = json.loads(path.read_text(encoding="utf-8")).get("text_config") or {}
        return int(text.get("num_attention_heads", width // HEAD_WIDTH))
    return max(1, width // HEAD_WIDTH)
