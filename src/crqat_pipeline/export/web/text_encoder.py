"""The text encoder that a page has beside its bank, for names that the bank does not hold.

Shape letters: K prompts, T tokens, D embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from crqat_pipeline.export.web.notice import NOTICE
from crqat_pipeline.export.web.text_tower import run_tower, text_tower
from crqat_pipeline.structures.vocabulary import TextBank
from crqat_pipeline.text_encoders.clip_parts import clip_parts
from crqat_pipeline.text_encoders.clip_tower import ClipTextEncoder
from crqat_pipeline.text_encoders.precomputed import maker_of

TOWER, MERGES = "model.onnx", "merges.txt"
NUM_COMPARED = 32
LEAST_LIKENESS = 0.99
"""Cosine, in the middle of the compared prompts, between the bank and the encoder; and, at least, between the encoder
and its graph with weights of 8 bits."""
WAY_OUT = (
    "Give the encoder that made the bank, or leave --text-encoder out: the page then offers the nearest known names."
)


@dataclass(frozen=True)
class WebTextEncoder:
    """files: content by name. facts: what the page reads of it. least_likeness: lowest cosine between an embedding of
    the graph and one of the encoder, over the compared prompts.
    """

    files: Mapping[str, bytes]
    facts: Mapping[str, Any]
    least_likeness: float

    @property
    def total_bytes(self) -> int:
        return sum(map(len, self.files.values()))


def check_pair(encoder: ClipTextEncoder, bank: TextBank) -> None:
    """Raises ValueError for an encoder whose embeddings are not those of the bank: of another width or length, or
    another direction for the bank's own prompts. Names of encoders alone do not tell: weights may have come as a tag
    here and as a file there.
    """
    made_by, width = maker_of(bank.encoder) or bank.encoder, bank.embeddings_KD.shape[1]
    if encoder.embedding_dim != width:
        raise ValueError(
            f"A page encodes new names by the encoder that made its bank: {made_by}, {width} numbers a name; "
            f"{encoder.name} gives {encoder.embedding_dim}. {WAY_OUT}"
        )
    if encoder.is_normalizing != bank.is_normalized:
        raise ValueError(
            "A page's bank and its text encoder bring embeddings to unit length, both or neither; normalize is "
            f'{bank.is_normalized} of the bank and {encoder.is_normalizing} of the encoder. Give "normalize": '
            f"{str(bank.is_normalized).lower()} in the JSON of --text-encoder."
        )
    prompts, rows_KD = _compared(bank)
    middle = float(functional.cosine_similarity(encoder.encode(prompts).embeddings_KD, rows_KD).median())
    if not middle >= LEAST_LIKENESS:
        raise ValueError(
            f"A page encodes new names by the encoder that made its bank: {made_by}; {encoder.name} gives other "
            f"embeddings: cosine {middle:.3f} in the middle of {len(prompts)} prompts of the bank, at least "
            f"{LEAST_LIKENESS} wanted. {WAY_OUT}"
        )


def web_text_encoder(encoder: ClipTextEncoder, bank: TextBank) -> WebTextEncoder:
    """Its tower with weights of 8 bits, run once in onnxruntime on prompts of the bank, and its vocabulary.

    Raises ValueError as `check_pair` does, for a tower that is no plain text transformer, and for a graph whose
    embeddings are not the encoder's.
    """
    check_pair(encoder, bank)
    parts = clip_parts(encoder)
    graph = text_tower(parts).SerializeToString()
    prompts, _ = _compared(bank)
    tokens_KT = np.asarray(encoder.tokenizer(list(prompts)), np.int64)
    found_KD = torch.from_numpy(run_tower(graph, tokens_KT))
    likeness = float(functional.cosine_similarity(found_KD, encoder.encode(prompts).embeddings_KD).min())
    if not likeness >= LEAST_LIKENESS:
        raise ValueError(
            f"A text encoder with weights of 8 bits gives nearly the embeddings of the float one; {encoder.name} does "
            f"not: cosine {likeness:.3f}, at least {LEAST_LIKENESS} wanted. Leave --text-encoder out."
        )
    files = {TOWER: graph, MERGES: "\n".join(parts.merges).encode(), "NOTICE.txt": NOTICE.encode()}
    facts = {
        "name": encoder.name,
        "context_length": parts.context_length,
        "bytes": {name: len(files[name]) for name in (TOWER, MERGES)},
    }
    return WebTextEncoder(MappingProxyType(files), MappingProxyType(facts), likeness)


def _compared(bank: TextBank) -> tuple[tuple[str, ...], Tensor]:
    """Prompts spread over the bank, and their rows."""
    places = np.unique(np.linspace(0, len(bank.prompts) - 1, NUM_COMPARED).round().astype(int)).tolist()
    return tuple(bank.prompts[place] for place in places), bank.embeddings_KD[places].float().cpu()
