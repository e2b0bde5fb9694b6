"""A CLIP of open_clip's own classes and tokenizer, two layers of 16 numbers, at random weights."""

from __future__ import annotations

import json

import torch
from safetensors.torch import save_file

NAME = "tiny-crqat-test"
DIM = 24
TINY = {
    "embed_dim": DIM,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}


def make_tiny_clip(folder, dim=DIM, name=NAME):
    """The model, under a name that open_clip knows from now on; dim: of its embeddings."""
    import open_clip

    (folder / f"{name}.json").write_text(json.dumps({**TINY, "embed_dim": dim}))
    open_clip.add_model_config(folder / f"{name}.json")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return open_clip.create_model(name, pretrained_text=False)


def tiny_encoder_row(folder, dim=DIM, name=NAME, stretch=1.0):
    """The row of TEXT_ENCODERS for its checkpoint. stretch: of the text's weights, for other embeddings."""
    model = make_tiny_clip(folder, dim, name)
    state = {key: tensor * stretch for key, tensor in model.state_dict().items() if not key.startswith("visual.")}
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, folder / f"{name}.safetensors")
    return {"name": "open_clip", "model_name": name, "pretrained": str(folder / f"{name}.safetensors")}
