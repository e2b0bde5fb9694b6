import pytest
import torch

from crqat_pipeline.text_encoders.composed import ComposedTextEncoder

WORDS = ("striped", "plain", "red", "blue", "star", "ring")


def test_embeddings_are_unit_length_and_fixed_by_the_seed() -> None:
    prompts = ["striped red star", "plain blue ring", ""]
    bank = ComposedTextEncoder(WORDS, 16, seed=3).encode(prompts)
    assert bank.prompts == tuple(prompts)
    assert bank.is_normalized
    assert bank.embeddings_KD.dtype == torch.float32
    assert torch.allclose(bank.embeddings_KD.norm(dim=-1), torch.ones(3))
    again = ComposedTextEncoder(WORDS, 16, seed=3).encode(prompts)
    assert torch.equal(bank.embeddings_KD, again.embeddings_KD)
    other = ComposedTextEncoder(WORDS, 16, seed=4)
    assert not torch.equal(bank.embeddings_KD, other.encode(prompts).embeddings_KD)
    assert other.name != bank.encoder


def test_a_prompt_does_not_depend_on_its_neighbours() -> None:
    encoder = ComposedTextEncoder(WORDS, 64)
    alone = encoder.encode(["red star"]).embeddings_KD[0]
    among = encoder.encode(["blue ring", "red star", ""]).embeddings_KD[1]
    assert torch.equal(alone, among)


def test_shared_words_bring_prompts_closer() -> None:
    bank = ComposedTextEncoder(WORDS, 64).encode(["striped red star", "plain red star", "plain blue ring"])
    similarity_KK = bank.embeddings_KD @ bank.embeddings_KD.T
    assert similarity_KK[0, 1] > 0.5 > 0.3 > similarity_KK[0, 2]


def test_word_order_and_case_do_not_matter() -> None:
    bank = ComposedTextEncoder(WORDS, 64).encode(["striped red star", "Red striped STAR"])
    assert torch.allclose(bank.embeddings_KD[0], bank.embeddings_KD[1], atol=1e-6)


def test_unknown_words_are_refused_with_the_known_ones() -> None:
    encoder = ComposedTextEncoder(WORDS, 64)
    with pytest.raises(
        ValueError, match=r"does not know 'sttar' in prompt 'red sttar'\. Did you mean 'star'\? Known words: striped, "
    ):
        encoder.encode(["red star", "red sttar"])
    with pytest.raises(ValueError, match="at least one prompt"):
        encoder.encode([])


def test_words_must_fit_into_the_embedding() -> None:
    with pytest.raises(ValueError, match=r"needs 1 to 5 words for embedding_dim=6; got 6"):
        ComposedTextEncoder(WORDS, 6)
