"""240 categories named in plain words, and their splits: base, novel, qat, unseen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from crqat_pipeline.runtime.seeding import numpy_generator
from crqat_pipeline.structures.vocabulary import Vocabulary

TEXTURES = ("plain", "striped", "dotted")
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (222, 38, 38),
    "orange": (244, 138, 24),
    "yellow": (240, 222, 40),
    "green": (44, 168, 60),
    "cyan": (48, 208, 220),
    "blue": (44, 76, 226),
    "purple": (138, 52, 196),
    "pink": (248, 140, 196),
}
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "heart", "moon", "diamond", "arrow")
WORDS = (*TEXTURES, *COLOURS, *SHAPES)
SHAPES_LOST_PER_COLOUR = 2


@dataclass(frozen=True)
class ShapeCategory:
    """One composition of three words; id counts from 1, as in COCO and LVIS."""

    id: int
    texture: str
    colour: str
    shape: str

    @property
    def name(self) -> str:
        return f"{self.texture} {self.colour} {self.shape}"


CATEGORIES: tuple[ShapeCategory, ...] = tuple(
    ShapeCategory(index + 1, texture, colour, shape)
    for index, (shape, colour, texture) in enumerate(
        (shape, colour, texture) for shape in SHAPES for colour in COLOURS for texture in TEXTURES
    )
)


def novel_pairs(seed: int) -> frozenset[tuple[str, str]]:
    """(colour, shape) pairs that no training image contains: each colour loses two shapes, spread evenly."""
    order = numpy_generator(seed, "open_shapes", "novel").permutation(len(SHAPES))
    return frozenset(
        (colour, SHAPES[order[(SHAPES_LOST_PER_COLOUR * row + column) % len(SHAPES)]])
        for row, colour in enumerate(COLOURS)
        for column in range(SHAPES_LOST_PER_COLOUR)
    )


def _spread_evenly(candidates: list[ShapeCategory], count: int, seed: int) -> list[int]:
    """Ids of `count` categories whose textures, colours and shapes occur about equally often."""
    order = numpy_generator(seed, "open_shapes", "qat").permutation(len(candidates))
    left = [candidates[index] for index in order]
    used: Counter[str] = Counter()
    chosen: list[int] = []
    for _ in range(count):
        best = min(left, key=lambda category: sum(used[word] ** 2 for word in category.name.split()))
        left.remove(best)
        used.update(best.name.split())
        chosen.append(best.id)
    return sorted(chosen)


def open_shapes_vocabulary(seed: int, num_qat_categories: int) -> Vocabulary:
    """All 240 categories with the splits base, novel, qat (within base) and unseen (base without qat)."""
    held_out = novel_pairs(seed)
    base = [category for category in CATEGORIES if (category.colour, category.shape) not in held_out]
    base_ids = tuple(category.id for category in base)
    qat_ids = tuple(_spread_evenly(base, num_qat_categories, seed))
    return Vocabulary(
        names=tuple(category.name for category in CATEGORIES),
        category_ids=tuple(category.id for category in CATEGORIES),
        synonyms=tuple((category.name,) for category in CATEGORIES),
        splits={
            "base": base_ids,
            "novel": tuple(category.id for category in CATEGORIES if category.id not in set(base_ids)),
            "qat": qat_ids,
            "unseen": tuple(category_id for category_id in base_ids if category_id not in set(qat_ids)),
        },
    )
