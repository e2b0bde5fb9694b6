"""A vocabulary of prompts, and the text embeddings that stand for it.

Shape letters: K prompts, D embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Vocabulary:
    """K categories in a fixed order: column k of every logit is names[k].

    names: the prompt of each category. category_ids: its id in the annotation file. synonyms: all names of each
    category, first name first. splits: named subsets of category ids ("base", "novel", "qat").
    """

    names: tuple[str, ...]
    category_ids: tuple[int, ...]
    synonyms: tuple[tuple[str, ...], ...] = ()
    splits: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("A vocabulary needs at least one prompt; got none. Give categories with names.")
        if len(self.names) != len(self.category_ids):
            raise ValueError(
                f"A vocabulary needs one category id per prompt; got {len(self.names)} prompts and "
                f"{len(self.category_ids)} ids."
            )
        if len(set(self.category_ids)) != len(self.category_ids):
            raise ValueError("Category ids of a vocabulary must be unique; some occur twice.")

    def __len__(self) -> int:
        return len(self.names)

    def as_record(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Vocabulary:
        """What as_record made. Raises KeyError, TypeError or AttributeError for anything else."""
        return cls(
            names=tuple(record["names"]),
            category_ids=tuple(record["category_ids"]),
            synonyms=tuple(tuple(names) for names in record["synonyms"]),
            splits={name: tuple(ids) for name, ids in record["splits"].items()},
        )

    def columns(self, category_ids: Sequence[int]) -> list[int]:
        """Positions of these category ids in this vocabulary."""
        position = {category_id: index for index, category_id in enumerate(self.category_ids)}
        return [position[category_id] for category_id in category_ids]


@dataclass(frozen=True)
class TextBank:
    """Embeddings of a vocabulary: embeddings_KD float32, row k for prompts[k]; encoder: who made them."""

    prompts: tuple[str, ...]
    embeddings_KD: Tensor
    encoder: str
    is_normalized: bool

    def __post_init__(self) -> None:
        if self.embeddings_KD.ndim != 2 or self.embeddings_KD.shape[0] != len(self.prompts):
            raise ValueError(
                f"A text bank needs one embedding row per prompt; got {tuple(self.embeddings_KD.shape)} for "
                f"{len(self.prompts)} prompts."
            )
