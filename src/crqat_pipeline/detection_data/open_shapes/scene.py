"""Where objects stand: a scene is drawn from its own seed, so scene i never depends on other scenes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from crqat_pipeline.detection_data.open_shapes.categories import open_shapes_vocabulary
from crqat_pipeline.detection_data.open_shapes.spec import OpenShapesSpec, Split
from crqat_pipeline.runtime.seeding import numpy_generator

PLACES_TRIED = 30
SHRINK_FACTOR = 0.85
MAX_SHRINKS = 16
SMALLEST_OBJECT_PX = 8.0
ASPECT_JITTER = 0.22


@dataclass(frozen=True, slots=True)
class SceneObject:
    """category_id, and the box as pixel left, top, width, height (floats)."""

    category_id: int
    left: float
    top: float
    width: float
    height: float


@lru_cache(maxsize=8)
def _category_draw(spec: OpenShapesSpec, split: Split) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Category ids of a split and their cumulative probabilities."""
    vocabulary = open_shapes_vocabulary(spec.seed, spec.num_qat_categories)
    if split == "train":
        ids = np.array(vocabulary.splits["base"])
        rank = numpy_generator(spec.seed, "open_shapes", "tail").permutation(len(ids)) / (len(ids) - 1)
        weight = np.exp(-spec.tail_steepness * rank**2)
    else:
        ids = np.array(vocabulary.splits["qat"] if split == "qat" else vocabulary.category_ids)
        weight = np.ones(len(ids))
    return ids, np.cumsum(weight) / weight.sum()


def _overlaps_too_much(candidate: SceneObject, placed: list[SceneObject], max_overlap: float) -> bool:
    for other in placed:
        width = min(candidate.left + candidate.width, other.left + other.width) - max(candidate.left, other.left)
        height = min(candidate.top + candidate.height, other.top + other.height) - max(candidate.top, other.top)
        smaller = min(candidate.width * candidate.height, other.width * other.height)
        if width > 0 and height > 0 and width * height > max_overlap * smaller:
            return True
    return False


def _place(
    category_id: int,
    size_px: float,
    aspect: float,
    placed: list[SceneObject],
    spec: OpenShapesSpec,
    random: np.random.Generator,
) -> SceneObject | None:
    """Try places; where none fits, shrink and try again. None if the scene is full."""
    for _ in range(MAX_SHRINKS):
        width, height = size_px * aspect, size_px / aspect
        for share_x, share_y in random.random((PLACES_TRIED, 2)).tolist():
            left = 1 + share_x * (spec.image_size_px - 2 - width)
            top = 1 + share_y * (spec.image_size_px - 2 - height)
            candidate = SceneObject(category_id, left, top, width, height)
            if not _overlaps_too_much(candidate, placed, spec.max_overlap):
                return candidate
        size_px = max(size_px * SHRINK_FACTOR, SMALLEST_OBJECT_PX)
    return None


def draw_scene(spec: OpenShapesSpec, split: Split, index: int) -> tuple[SceneObject, ...]:
    """Objects of scene `index` of a split, back to front: sizes are log-uniform, aspect is jittered.

    The largest comes first, while there is room for it. An object that finds no place within the allowed overlap is
    shrunk, and left out if the scene is full.
    """
    random = numpy_generator(spec.seed, "open_shapes", split, index, "layout")
    ids, cumulative = _category_draw(spec, split)
    count = int(random.integers(spec.min_objects, spec.max_objects + 1))
    chosen = ids[np.searchsorted(cumulative, random.random(count), side="right").clip(max=len(ids) - 1)]
    low, high = math.log(spec.min_object_px), math.log(spec.max_object_px)
    sizes = np.exp(np.sort(random.uniform(low, high, count))[::-1]).tolist()
    aspects = np.exp(random.uniform(-ASPECT_JITTER / 2, ASPECT_JITTER / 2, count)).tolist()
    placed: list[SceneObject] = []
    for category_id, size_px, aspect in zip(chosen.tolist(), sizes, aspects, strict=True):
        candidate = _place(category_id, size_px, aspect, placed, spec, random)
        if candidate is not None:
            placed.append(candidate)
    return tuple(placed)
