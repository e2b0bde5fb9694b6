"""Where the negative prompts of an image come from when several sources are trained on together.

Within Objects365 every category that is not annotated is absent: its other categories are negatives. A phrase of a
caption says nothing about other images, so an image with phrases is asked about its own [YOLO-World's pre-training].

Shape letters: I images of the split, S categories of one scope.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.detection_data.prepared_split import PreparedSplit
from crqat_pipeline.detection_data.prompt_sampling import PromptSampler

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class _Scope:
    """columns_S: of the vocabulary. images: indices of the split. asks_own: negatives are the images' own phrases."""

    columns_S: Integers
    images: Integers
    asks_own: bool


class PromptScopes:
    """The scopes of a split that has some. An image belongs to the scope of its boxes.

    Raises ValueError for a loader that cannot keep them apart.
    """

    def __init__(self, split: PreparedSplit, sampler: PromptSampler, spec: LoaderSpec) -> None:
        names = sorted({category.scope for category in split.categories})
        number = {category.id: names.index(category.scope) for category in split.categories}
        number[-1] = -1  # images without boxes
        self._scope_I = np.array([number[category] for category in split.images.first_category_ids.tolist()])
        self._split, self._sampler = split, sampler
        self._scopes: list[_Scope] = []
        for position, name in enumerate(names):
            members = [category for category in split.categories if category.scope == name]
            asks_own = all(category.is_phrase for category in members) and spec.phrase_negatives == "own"
            columns_S = sampler.columns(category.id for category in members)
            self._scopes.append(_Scope(columns_S, np.flatnonzero(self._scope_I == position), asks_own))
        self._refuse_unfit(names, spec)

    def _scope_of(self, index: int) -> _Scope:
        return self._scopes[int(self._scope_I[index])]

    def _refuse_unfit(self, names: Sequence[str], spec: LoaderSpec) -> None:
        if spec.prompt_scope != "image":
            raise ValueError(
                f"Sources with prompts of their own ({', '.join(names)}) need prompt_scope: image; got batch."
            )
        needs_padding = any(scope.asks_own or len(scope.columns_S) < spec.num_prompts for scope in self._scopes)
        if needs_padding and spec.padding_prompt is None:
            raise ValueError(
                f"Some images have fewer than {spec.num_prompts} prompts of their own; set padding_prompt to fill up "
                "('' in YOLO-World's pre-training)."
            )
        homeless = np.flatnonzero(self._scope_I < 0)
        if len(homeless):
            raise ValueError(
                f"With several sources every image needs a box; {len(homeless)} have none, the first is image "
                f"{self._split.images.ids[homeless[0]]}. Prepare the split with category_ids."
            )

    def companions(self, index: int) -> Integers:
        """Images that may share a mosaic with image `index`: those of its source."""
        return self._scope_of(index).images

    def candidates(self, indices: Sequence[int]) -> Integers:
        """Vocabulary columns that an image made of these images may be asked about."""
        scope = self._scope_of(indices[0])
        if not scope.asks_own:
            return scope.columns_S
        return np.unique(self._sampler.columns(n for index in indices for n in self._split.images[index].category_ids))
