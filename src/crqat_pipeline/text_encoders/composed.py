"""The text encoder of the embedded benchmark: a prompt is the composition of its words.

Shape letters: W words, K prompts, D embedding.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from crqat_pipeline.runtime.seeding import torch_generator
from crqat_pipeline.structures.vocabulary import TextBank

CONTEXT_WEIGHT = 0.25


class ComposedTextEncoder:
    """normalize(s + 0.25 · normalize(MLP(s))) with s = normalize(sum of the words' vectors).

    Word vectors are orthonormal and the tanh MLP is random, both fixed by the seed; nothing is trained. The order
    of words does not matter. The empty prompt (padding) has a vector of its own. Compositionality is built in: this
    stands in for CLIP in a ten-minute benchmark and is no evidence about CLIP.
    """

    is_normalizing = True

    def __init__(self, words: Sequence[str], embedding_dim: int = 64, seed: int = 0) -> None:
        """words: all words that prompts may use. Raises ValueError if they do not fit into embedding_dim - 1."""
        self.words = tuple(dict.fromkeys(word.lower() for word in words))
        if not 0 < len(self.words) < embedding_dim:
            raise ValueError(
                f"The composed text encoder needs 1 to {embedding_dim - 1} words for embedding_dim={embedding_dim}; "
                f"got {len(self.words)}. Give fewer words or a larger embedding_dim."
            )
        self.embedding_dim = embedding_dim
        key = hashlib.sha256(" ".join(self.words).encode()).hexdigest()[:8]
        self.name = f"composed:{embedding_dim}d:seed{seed}:words-{key}"
        random = torch_generator(seed, "composed text encoder")
        shape = (embedding_dim, embedding_dim)
        orthonormal_DD: Tensor = torch.linalg.qr(torch.randn(shape, generator=random, dtype=torch.float64))[0]
        self._padding_D: Tensor = orthonormal_DD[0]
        self._vectors_WD: Tensor = orthonormal_DD[1 : len(self.words) + 1]
        self._inner_DD = torch.randn(shape, generator=random, dtype=torch.float64)
        self._outer_DD = torch.randn(shape, generator=random, dtype=torch.float64)

    def encode(self, prompts: Sequence[str]) -> TextBank:
        """Raises ValueError for a word that was not given at construction; the error lists the known words."""
        if not prompts:
            raise ValueError("A text encoder needs at least one prompt; got none.")
        sums_KD = torch.stack([self._sum(prompt) for prompt in prompts])
        content_KD = functional.normalize(sums_KD, dim=-1)
        context_KD = functional.normalize(torch.tanh(content_KD @ self._inner_DD) @ self._outer_DD, dim=-1)
        embeddings_KD = functional.normalize(content_KD + CONTEXT_WEIGHT * context_KD, dim=-1)
        return TextBank(tuple(prompts), embeddings_KD.float(), self.name, is_normalized=True)

    def _sum(self, prompt: str) -> Tensor:
        tokens = prompt.lower().split()
        unknown = [token for token in tokens if token not in self.words]
        if unknown:
            near = difflib.get_close_matches(unknown[0], self.words, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"The composed text encoder does not know {', '.join(map(repr, unknown))} in prompt {prompt!r}."
                f"{hint} Known words: {', '.join(self.words)}."
            )
        if not tokens:
            return self._padding_D
        return self._vectors_WD[[self.words.index(token) for token in tokens]].sum(dim=0)
