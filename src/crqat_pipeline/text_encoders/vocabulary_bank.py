"""Text banks of whole vocabularies."""

from __future__ import annotations

from crqat_pipeline.structures.vocabulary import TextBank, Vocabulary
from crqat_pipeline.text_encoders.protocol import TextEncoder


def bank_of_names(encoder: TextEncoder, vocabulary: Vocabulary, padding_prompt: str | None = None) -> TextBank:
    """For evaluation: row k is the first name of category k; a padding prompt, if given, is the last row."""
    padding = () if padding_prompt is None else (padding_prompt,)
    return encoder.encode((*vocabulary.names, *padding))


def bank_of_synonyms(encoder: TextEncoder, vocabulary: Vocabulary, padding_prompt: str | None = None) -> TextBank:
    """For training: every name and synonym once, and the padding prompt if given; found by prompt, not by row."""
    padding = () if padding_prompt is None else (padding_prompt,)
    texts = (*vocabulary.names, *(name for names in vocabulary.synonyms for name in names), *padding)
    return encoder.encode(tuple(dict.fromkeys(texts)))
