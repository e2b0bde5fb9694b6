"""The vocabulary of an annotation file, and narrower vocabularies made from it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from crqat_pipeline.structures.category_name import prompt_names
from crqat_pipeline.structures.vocabulary import Vocabulary


def vocabulary_from_categories(categories: Iterable[Mapping[str, Any]]) -> Vocabulary:
    """COCO, LVIS or Objects365 categories in id order: the first name is the prompt, all names are synonyms.

    Two LVIS categories may share a first name ("bow"); both keep it. Categories of the embedded benchmark carry
    the names of their splits, which become the splits of the vocabulary.
    """
    ordered = sorted(categories, key=lambda category: int(category["id"]))
    synonyms = tuple(prompt_names(category) for category in ordered)
    members: dict[str, list[int]] = {}
    for category in ordered:
        for split in category.get("splits", ()):
            members.setdefault(split, []).append(category["id"])
    return Vocabulary(
        names=tuple(names[0] for names in synonyms),
        category_ids=tuple(category["id"] for category in ordered),
        synonyms=synonyms,
        splits={split: tuple(ids) for split, ids in members.items()},
    )


def vocabulary_from_annotations(annotations: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary of a COCO or LVIS dictionary (see vocabulary_from_categories)."""
    return vocabulary_from_categories(annotations["categories"])


def restrict_vocabulary(vocabulary: Vocabulary, category_ids: Collection[int]) -> Vocabulary:
    """The part of a vocabulary with these category ids, in the same order.

    Raises ValueError for ids that the vocabulary does not have.
    """
    wanted = set(category_ids)
    unknown = sorted(wanted.difference(vocabulary.category_ids))
    if unknown:
        raise ValueError(
            f"The vocabulary has no categories {unknown[:10]}; it has {len(vocabulary)} categories with ids "
            f"{min(vocabulary.category_ids)} to {max(vocabulary.category_ids)}."
        )
    columns = [column for column, number in enumerate(vocabulary.category_ids) if number in wanted]
    return Vocabulary(
        names=tuple(vocabulary.names[column] for column in columns),
        category_ids=tuple(vocabulary.category_ids[column] for column in columns),
        synonyms=tuple(vocabulary.synonyms[column] for column in columns) if vocabulary.synonyms else (),
        splits={name: tuple(n for n in ids if n in wanted) for name, ids in vocabulary.splits.items()},
    )
