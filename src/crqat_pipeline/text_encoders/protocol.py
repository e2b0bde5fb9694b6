"""What every text encoder offers.

Shape letters: K prompts, D embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from crqat_pipeline.structures.vocabulary import TextBank


class TextEncoder(Protocol):
    """Frozen: the same prompt always gets the same embedding.

    name: identifies encoder and weights, the key of caches. embedding_dim: D. is_normalizing: rows of its banks
    have unit length.
    """

    @property
    def name(self) -> str: ...

    @property
    def embedding_dim(self) -> int: ...

    @property
    def is_normalizing(self) -> bool: ...

    def encode(self, prompts: Sequence[str]) -> TextBank:
        """One float32 row per prompt, in their order. Raises ValueError for prompts that it cannot encode."""
        ...
