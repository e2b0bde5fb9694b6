"""From prompts to embeddings: the embedded benchmark's encoder, precomputed files, CLIP through open_clip."""

from crqat_pipeline.text_encoders.embedding_cache import CachedTextEncoder
from crqat_pipeline.text_encoders.protocol import TextEncoder
from crqat_pipeline.text_encoders.table import TEXT_ENCODERS, TextEncoderSpec, build_text_encoder
from crqat_pipeline.text_encoders.vocabulary_bank import bank_for_training, bank_of_names

__all__ = [
    "TEXT_ENCODERS",
    "CachedTextEncoder",
    "TextEncoder",
    "TextEncoderSpec",
    "bank_for_training",
    "bank_of_names",
    "build_text_encoder",
]
