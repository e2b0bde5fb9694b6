"""Text banks of whole vocabularies."""

from __future__ import annotations

from pathlib import Path

import torch

from crqat_pipeline.runtime.progress import progress
from crqat_pipeline.structures.vocabulary import TextBank, Vocabulary
from crqat_pipeline.text_encoders.embedding_cache import CachedTextEncoder
from crqat_pipeline.text_encoders.protocol import TextEncoder

PROMPTS_PER_FILE = 8192


def bank_of_names(encoder: TextEncoder, vocabulary: Vocabulary, padding_prompt: str | None = None) -> TextBank:
    """For evaluation: row k is the first name of category k; a padding prompt, if given, is the last row."""
    padding = () if padding_prompt is None else (padding_prompt,)
    return encoder.encode((*vocabulary.names, *padding))


def bank_for_training(
    encoder: TextEncoder,
    vocabulary: Vocabulary,
    synonyms: bool = True,
    padding_prompt: str | None = None,
    cache_folder: Path | None = None,
) -> TextBank:
    """Row k is the first name of category k; other synonyms and the padding prompt, if asked for, come behind.

    For vocabularies of any size: encoded 8192 texts at a time, each kept in cache_folder if there is one.
    """
    names = set(vocabulary.names)
    others = [name for each in vocabulary.synonyms for name in each if name not in names] if synonyms else []
    padding = [] if padding_prompt is None or padding_prompt in names else [padding_prompt]
    texts = (*vocabulary.names, *dict.fromkeys(others), *padding)
    cached = encoder if cache_folder is None else CachedTextEncoder(encoder, cache_folder)
    starts = range(0, len(texts), PROMPTS_PER_FILE)
    parts = [
        cached.encode(texts[start : start + PROMPTS_PER_FILE]).embeddings_KD
        for start in progress(starts, "embedding prompts", total=len(starts), unit=f"{PROMPTS_PER_FILE} texts")
    ]
    return TextBank(texts, torch.cat(parts), encoder.name, encoder.is_normalizing)
