"""Embeddings from a file, found by name.

Shape letters: K prompts, D embedding.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from pathlib import Path

from torch.nn import functional

from crqat_pipeline.structures.vocabulary import TextBank
from crqat_pipeline.text_encoders.embedding_file import matching_key, read_bank_names, read_embeddings, read_row_names

MISSING_SHOWN = 10
MADE_BY = " made by "


def made_by(encoder: str) -> str:
    """The encoder that a file of embeddings was made with, from the name of its bank; "" where it does not say."""
    return encoder.partition(MADE_BY)[2]


def maker_of(encoder: str) -> str:
    """The encoder that computed a bank's numbers: the one that its file was made by, else the one that it names."""
    return made_by(encoder) or ("" if encoder.startswith("precomputed:") else encoder)


class PrecomputedTextEncoder:
    """Looks prompts up among the names of a file's rows: the exact text first, then first names, then synonyms.

    Case, underscores and parenthesised qualifiers are ignored if there is no exact match. Where several rows
    share a name (LVIS has two "bow"), the first row serves all of them.
    """

    def __init__(
        self,
        embeddings: str | Path,
        names: str | Path | None = None,
        normalize: bool = True,
        made_by: str | None = None,
    ) -> None:
        """embeddings: .npy or .safetensors, (rows, dim). names: JSON, see read_row_names; a text bank needs none.
        normalize: to unit length. made_by: name of the encoder that made the file
        ("open_clip:ViT-B-32-quickgelu:openai"), for new prompts later; a text bank says it itself.

        Raises ValueError if a file is missing or damaged, or if the numbers of rows and names differ.
        """
        path = Path(embeddings)
        self._embeddings_KD = read_embeddings(path)
        if names is None:
            row_names, encoder = read_bank_names(path)
            made_by = made_by or maker_of(encoder)
        else:
            row_names = read_row_names(Path(names))
        if len(row_names) != len(self._embeddings_KD):
            raise ValueError(
                f"{path} has {len(self._embeddings_KD)} rows, but {names} names {len(row_names)}. Give the names "
                "of the same vocabulary, in row order."
            )
        if normalize:
            self._embeddings_KD = functional.normalize(self._embeddings_KD, dim=-1)
        self.is_normalizing = normalize
        self.embedding_dim = int(self._embeddings_KD.shape[1])
        content = hashlib.sha256(self._embeddings_KD.numpy().tobytes()).hexdigest()[:12]
        self.name = f"precomputed:{path.name}:{content}" + (f"{MADE_BY}{made_by}" if made_by else "")
        self._row_of: dict[str, int] = {}
        first = [(row, names[0]) for row, names in enumerate(row_names)]
        others = [(row, name) for row, names in enumerate(row_names) for name in names[1:]]
        for row, name in (*first, *others):
            self._row_of.setdefault(name, row)
        for row, name in (*first, *others):
            self._row_of.setdefault(matching_key(name), row)

    def encode(self, prompts: Sequence[str]) -> TextBank:
        """Raises ValueError that lists the prompts without an embedding and the nearest names."""
        if not prompts:
            raise ValueError("A text encoder needs at least one prompt; got none.")
        rows = [self._row_of.get(prompt, self._row_of.get(matching_key(prompt), -1)) for prompt in prompts]
        missing = [prompt for prompt, row in zip(prompts, rows, strict=True) if row < 0]
        if missing:
            lines = [f"  - {prompt!r}{self._hint(prompt)}" for prompt in missing[:MISSING_SHOWN]]
            if len(missing) > MISSING_SHOWN:
                lines.append(f"  … and {len(missing) - MISSING_SHOWN} more")
            raise ValueError(
                "\n".join(
                    [
                        f"{self.name} has no embedding for {len(missing)} of {len(prompts)} prompts:",
                        *lines,
                        "Use names of its vocabulary, or a text encoder that computes embeddings (open_clip).",
                    ]
                )
            )
        return TextBank(tuple(prompts), self._embeddings_KD[rows], self.name, self.is_normalizing)

    def _hint(self, prompt: str) -> str:
        near = difflib.get_close_matches(matching_key(prompt), self._row_of, n=3)
        return f" (nearest: {', '.join(map(repr, near))})" if near else ""
