"""Embeddings kept on disk, under a key of encoder, exact prompts and normalization.

Shape letters: K prompts, D embedding.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from crqat_pipeline.runtime.atomic import atomic_path
from crqat_pipeline.structures.vocabulary import TextBank
from crqat_pipeline.text_encoders.protocol import TextEncoder

TENSOR_NAME = "embeddings_KD"


class CachedTextEncoder:
    """Another encoder with a memory: one safetensors file per list of prompts; a damaged file is made again."""

    def __init__(self, encoder: TextEncoder, folder: str | Path) -> None:
        self._encoder = encoder
        self._folder = Path(folder)

    @property
    def name(self) -> str:
        return self._encoder.name

    @property
    def embedding_dim(self) -> int:
        return self._encoder.embedding_dim

    @property
    def is_normalizing(self) -> bool:
        return self._encoder.is_normalizing

    def cache_path(self, prompts: Sequence[str]) -> Path:
        """The file of these prompts; another order, spelling, encoder or normalization has another file."""
        key = json.dumps([self.name, self.is_normalizing, list(prompts)], ensure_ascii=False)
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors"

    def encode(self, prompts: Sequence[str]) -> TextBank:
        """As the encoder it wraps."""
        path = self.cache_path(prompts)
        try:
            embeddings_KD = load_file(path)[TENSOR_NAME]
            return TextBank(tuple(prompts), embeddings_KD, self.name, self.is_normalizing)
        except (OSError, SafetensorError, KeyError, ValueError):
            bank = self._encoder.encode(prompts)
        with atomic_path(path) as temporary:
            save_file({TENSOR_NAME: bank.embeddings_KD.contiguous()}, temporary, {"encoder": self.name})
        return bank
