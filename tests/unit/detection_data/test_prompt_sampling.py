import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crqat_pipeline.detection_data import LoaderSpec
from crqat_pipeline.detection_data.prompt_sampling import PromptSampler
from crqat_pipeline.structures.vocabulary import TextBank, Vocabulary

VOCABULARY = Vocabulary(
    names=("cat", "dog", "bow", "fish", "sofa"),
    category_ids=(10, 20, 30, 40, 50),
    synonyms=(("cat", "kitten"), ("dog",), ("bow",), ("fish",), ("sofa", "couch", "settee")),
)
PROMPTS = ("couch", "cat", "dog", "bow", "fish", "sofa", "kitten", "")


def sampler(prompts: tuple[str, ...] = PROMPTS, **options: object) -> PromptSampler:
    bank = TextBank(prompts, torch.eye(len(prompts)), "test", True)
    return PromptSampler(VOCABULARY, bank, LoaderSpec(**options))  # type: ignore[arg-type]


@given(present=st.lists(st.integers(0, 4), max_size=9), num_prompts=st.integers(1, 9), seed=st.integers(0, 99))
def test_positives_are_drawn_first_and_labels_point_at_their_prompts(
    present: list[int], num_prompts: int, seed: int
) -> None:
    rows_K, position_V = sampler(num_prompts=num_prompts, use_random_synonyms=False).draw(
        np.array(present, dtype=np.int64), np.random.default_rng(seed)
    )
    assert len(rows_K) == min(num_prompts, 5) == len(set(rows_K.tolist()))
    assert sorted(position_V[position_V >= 0].tolist()) == list(range(len(rows_K)))
    for column, position in enumerate(position_V.tolist()):
        if position >= 0:
            assert PROMPTS[rows_K[position]] == VOCABULARY.names[column]
    kept = sum(position_V[column] >= 0 for column in set(present))
    assert kept == min(len(set(present)), num_prompts)


def test_synonyms_are_drawn_at_random_among_those_in_the_bank() -> None:
    drawn = set()
    for seed in range(60):
        rows_K, position_V = sampler(num_prompts=5).draw(np.array([4]), np.random.default_rng(seed))
        drawn.add(PROMPTS[rows_K[position_V[4]]])
    assert drawn == {"sofa", "couch"}  # "settee" has no embedding


def test_order_is_random() -> None:
    first = {int(sampler().draw(np.array([1]), np.random.default_rng(seed))[1][1]) for seed in range(30)}
    assert len(first) == 5


def test_padding_fills_up_to_the_number_of_prompts() -> None:
    rows_K, position_V = sampler(num_prompts=8, padding_prompt="").draw(np.array([0]), np.random.default_rng(0))
    assert [PROMPTS[row] for row in rows_K[5:]] == ["", "", ""]
    assert position_V.max() == 4


def test_missing_embeddings_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"lacks 2 prompts, among them \['bow', 'fish'\]"):
        sampler(("cat", "dog", "sofa"))
    with pytest.raises(ValueError, match="among them"):
        sampler(PROMPTS[:-1], padding_prompt="")
