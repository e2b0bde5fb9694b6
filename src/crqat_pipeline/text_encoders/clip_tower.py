"""CLIP's text transformer through open_clip.

Shape letters: K prompts, T tokens, D embedding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from crqat_pipeline.structures.vocabulary import TextBank
from crqat_pipeline.text_encoders.clip_weights import load_text_weights

PROMPTS_PER_PASS = 256
_PLAIN_TEXT_KEYS = {"context_length", "vocab_size", "width", "heads", "layers"}


class ClipTextEncoder:
    """A frozen text tower and its tokenizer. Prompts are taken as they are; CLIP lowercases by itself."""

    def __init__(self, tower: nn.Module, tokenizer: Any, name: str, normalize: bool = True) -> None:
        """tower: maps token ids (K, T) to embeddings (K, D), or is a CLIP model with `encode_text`.

        tokenizer: an open_clip tokenizer (encode, context_length, and callable on a list of texts).
        """
        self.tower = tower.eval().requires_grad_(False)
        self._embed = getattr(tower, "encode_text", tower)
        self.tokenizer = tokenizer
        self.name = name
        self.is_normalizing = normalize
        self.embedding_dim = int(self._embed(tokenizer([""])).shape[-1])

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> TextBank:
        """Raises ValueError for a prompt that does not fit into the context (77 tokens with start and end)."""
        if not prompts:
            raise ValueError("A text encoder needs at least one prompt; got none.")
        for prompt in prompts:
            num_tokens = len(self.tokenizer.encode(prompt)) + 2
            if num_tokens > self.tokenizer.context_length:
                raise ValueError(
                    f"Prompt {prompt!r:.60} has {num_tokens} tokens with start and end; the text tower takes "
                    f"{self.tokenizer.context_length}. Shorten it."
                )
        device = next(self.tower.parameters()).device
        parts = [
            self._embed(self.tokenizer(list(prompts[start : start + PROMPTS_PER_PASS])).to(device))
            for start in range(0, len(prompts), PROMPTS_PER_PASS)
        ]
        embeddings_KD: Tensor = torch.cat(parts).float().cpu()
        if self.is_normalizing:
            embeddings_KD = functional.normalize(embeddings_KD, dim=-1)
        return TextBank(tuple(prompts), embeddings_KD, self.name, self.is_normalizing)


def _build_tower(model_name: str, use_quick_gelu: bool) -> nn.Module:
    import open_clip
    from open_clip.transformer import QuickGELU, TextTransformer

    config = open_clip.get_model_config(model_name)
    if config is None:
        raise ValueError(f"open_clip has no model {model_name!r}. YOLO-World uses 'ViT-B-32-quickgelu'.")
    text = config["text_cfg"]
    if not set(text) <= _PLAIN_TEXT_KEYS:
        raise ValueError(
            f"The text tower of {model_name!r} is not a plain CLIP transformer (it sets "
            f"{sorted(set(text) - _PLAIN_TEXT_KEYS)}). Choose an OpenAI-style ViT model such as 'ViT-B-32-quickgelu'."
        )
    tower: nn.Module = TextTransformer(
        **text, output_dim=config["embed_dim"], act_layer=QuickGELU if use_quick_gelu else nn.GELU
    )
    return tower


def _download(model_name: str, pretrained: str) -> Path:
    from open_clip.pretrained import download_pretrained, get_pretrained_cfg, list_pretrained_tags_by_model

    config = get_pretrained_cfg(model_name, pretrained)
    if not config:
        tags = list_pretrained_tags_by_model(model_name)
        raise ValueError(
            f"{pretrained!r} is neither a file nor a weights tag of {model_name!r}. Tags: {', '.join(tags)}."
        )
    try:
        return Path(download_pretrained(config))
    except Exception as error:  # the hub, its HTTP client and the OS each raise their own
        source = config.get("hf_hub", "").strip("/") or config.get("url", "")
        raise OSError(
            f"Could not get the weights {pretrained!r} of {model_name!r} ({type(error).__name__}: {error}). "
            f"Without a connection, download {source!r} on another machine and give the file as `pretrained`, or "
            "use precomputed embeddings."
        ) from error


def _weights_trained_with_quick_gelu(model_name: str, pretrained: str) -> bool:
    from open_clip.pretrained import get_pretrained_cfg

    return bool(get_pretrained_cfg(model_name, pretrained).get("quick_gelu", False))


def load_clip_text_encoder(
    model_name: str = "ViT-B-32-quickgelu",
    pretrained: str = "openai",
    normalize: bool = True,
    quick_gelu: bool | None = None,
) -> ClipTextEncoder:
    """The text tower of an open_clip model.

    pretrained: a weights tag of open_clip (downloaded once) or the path of a checkpoint. quick_gelu: by default as
    the tag's weights were trained, and on for a file, since OpenAI's weights need QuickGELU: with plain GELU the
    embeddings look plausible and are wrong. Raises ValueError for unknown names and files that do not fit, OSError
    with the manual way when a download fails.
    """
    import open_clip

    is_file = Path(pretrained).is_file()
    if quick_gelu is None:
        quick_gelu = is_file or _weights_trained_with_quick_gelu(model_name, pretrained)
    tower = _build_tower(model_name, quick_gelu)
    path = Path(pretrained) if is_file else _download(model_name, pretrained)
    load_text_weights(tower, path)
    source = pretrained
    if is_file:
        with path.open("rb") as file:
            source = f"{path.name}:{hashlib.file_digest(file, 'sha256').hexdigest()[:12]}"
    activation = "quickgelu" if quick_gelu else "gelu"
    name = f"open_clip:{model_name}:{source}:{activation}"
    return ClipTextEncoder(tower, open_clip.get_tokenizer(model_name), name, normalize)
