"""Embeddings for training: names first in order, then synonyms and padding; kept in pieces."""

import torch

from crqat_pipeline.structures.vocabulary import TextBank, Vocabulary
from crqat_pipeline.text_encoders import bank_for_training, vocabulary_bank

VOCABULARY = Vocabulary(
    names=("cat", "red car", "cat"), category_ids=(1, 2, 9), synonyms=(("cat", "kitten"), ("red car",), ("cat", "tom"))
)


class LengthEncoder:
    """Embeds a text as its length; counts what it is asked for."""

    name, embedding_dim, is_normalizing = "length", 1, False

    def __init__(self):
        self.asked = []

    def encode(self, prompts):
        self.asked += prompts
        return TextBank(tuple(prompts), torch.tensor([[float(len(one))] for one in prompts]), self.name, False)


def test_rows_of_the_names_are_those_of_the_vocabulary():
    bank = bank_for_training(LengthEncoder(), VOCABULARY, padding_prompt="")
    assert bank.prompts == ("cat", "red car", "cat", "kitten", "tom", "")
    assert bank.embeddings_KD[:, 0].tolist() == [3, 7, 3, 6, 3, 0]
    assert bank_for_training(LengthEncoder(), VOCABULARY, synonyms=False).prompts == VOCABULARY.names


def test_pieces_are_kept_so_that_a_killed_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(vocabulary_bank, "PROMPTS_PER_FILE", 2)
    first = bank_for_training(LengthEncoder(), VOCABULARY, padding_prompt="", cache_folder=tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) == 3
    next(tmp_path.glob("*.safetensors")).unlink()
    encoder = LengthEncoder()
    again = bank_for_training(encoder, VOCABULARY, padding_prompt="", cache_folder=tmp_path)
    assert len(encoder.asked) == 2
    assert torch.equal(first.embeddings_KD, again.embeddings_KD)
