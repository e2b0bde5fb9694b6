from collections.abc import Sequence
from pathlib import Path

import torch

from crqat_pipeline.structures.vocabulary import TextBank
from crqat_pipeline.text_encoders.embedding_cache import CachedTextEncoder


class Counting:
    """Encodes a prompt by its length, and counts how often it is asked."""

    embedding_dim = 1

    def __init__(self, name: str = "counting", is_normalizing: bool = False) -> None:
        self.name, self.is_normalizing, self.calls = name, is_normalizing, 0

    def encode(self, prompts: Sequence[str]) -> TextBank:
        self.calls += 1
        lengths_K1 = torch.tensor([[float(len(prompt))] for prompt in prompts])
        return TextBank(tuple(prompts), lengths_K1, self.name, self.is_normalizing)


def test_the_second_time_comes_from_disk(tmp_path: Path) -> None:
    encoder = Counting()
    first = CachedTextEncoder(encoder, tmp_path).encode(["a", "bcd"])
    second = CachedTextEncoder(encoder, tmp_path).encode(["a", "bcd"])
    assert encoder.calls == 1
    assert torch.equal(first.embeddings_KD, second.embeddings_KD)
    assert (first.prompts, first.encoder) == (second.prompts, second.encoder)


def test_order_spelling_encoder_and_normalization_have_their_own_files(tmp_path: Path) -> None:
    paths = {
        CachedTextEncoder(Counting(), tmp_path).cache_path(prompts)
        for prompts in (["a", "b"], ["b", "a"], ["A", "b"], ["a b"])
    }
    paths.add(CachedTextEncoder(Counting("other"), tmp_path).cache_path(["a", "b"]))
    paths.add(CachedTextEncoder(Counting(is_normalizing=True), tmp_path).cache_path(["a", "b"]))
    assert len(paths) == 6


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    encoder = Counting()
    cached = CachedTextEncoder(encoder, tmp_path)
    cached.encode(["abc"])
    cached.cache_path(["abc"]).write_bytes(b"damaged")
    assert cached.encode(["abc"]).embeddings_KD.item() == 3
    assert encoder.calls == 2
    cached.encode(["abc"])
    assert encoder.calls == 2
