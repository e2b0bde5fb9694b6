"""Which prompts training may name: the data's own, and those of a split of the vocabulary."""

import pytest

from crqat_pipeline.detection_data.image_table import PreparedImage
from crqat_pipeline.detection_data.prepared_split import PreparedCategory, PreparedSplit
from crqat_pipeline.recipes.data import training_vocabulary
from crqat_pipeline.structures.vocabulary import Vocabulary

VOCABULARY = Vocabulary(
    ("red ring", "moon", "blue star", "heart"),
    (3, 7, 8, 9),
    (("red ring",), ("moon",), ("blue star",), ("heart",)),
    {"base": (3, 7, 8), "novel": (9,)},
)
SPLIT = PreparedSplit(
    images=(PreparedImage(id=1, file_name="a.jpg", width=9, height=7),),
    categories=(PreparedCategory(id=8, synonyms=("blue star",)), PreparedCategory(id=3, synonyms=("red ring",))),
)


def test_without_a_split_the_datas_own_categories_in_the_vocabularys_order():
    assert training_vocabulary(SPLIT, VOCABULARY).names == ("red ring", "blue star")


def test_a_split_adds_its_prompts_and_only_those():
    own = training_vocabulary(SPLIT, VOCABULARY, "base")
    assert own.names == ("red ring", "moon", "blue star")
    assert own.splits == {"base": (3, 7, 8), "novel": ()}
    assert training_vocabulary(SPLIT, VOCABULARY, "novel").names == ("red ring", "blue star", "heart")


def test_an_unknown_split_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"\(base, novel\); got 'bsae'\. Leave it out"):
        training_vocabulary(SPLIT, VOCABULARY, "bsae")
    plain = Vocabulary(VOCABULARY.names, VOCABULARY.category_ids)
    with pytest.raises(ValueError, match=r"\(it has none\); got 'base'"):
        training_vocabulary(SPLIT, plain, "base")
