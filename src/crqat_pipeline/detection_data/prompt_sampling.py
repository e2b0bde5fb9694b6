"""Which prompts an image or batch is asked about: what is present, filled up with random others.

Shape letters: K prompts, M boxes, V categories of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.structures.vocabulary import TextBank, Vocabulary

Integers = NDArray[np.int64]


class PromptSampler:
    """Draws K rows of a text bank, K the same every time if there is a padding prompt or enough to draw from.

    Raises ValueError if the bank lacks the first name of a category or the padding prompt. A synonym that the
    bank lacks is not drawn.
    """

    def __init__(self, vocabulary: Vocabulary, bank: TextBank, spec: LoaderSpec) -> None:
        rows = {prompt: row for row, prompt in enumerate(bank.prompts)}
        padding = [] if spec.padding_prompt is None else [spec.padding_prompt]
        missing = [name for name in (*vocabulary.names, *padding) if name not in rows]
        if missing:
            raise ValueError(
                f"The text bank of {bank.encoder!r} lacks {len(missing)} prompts, among them {missing[:5]}. "
                "Encode the vocabulary (and the padding prompt) with a text encoder first."
            )
        synonyms = vocabulary.synonyms if spec.use_random_synonyms and vocabulary.synonyms else None
        self._rows = [
            np.array([rows[text] for text in (synonyms[column] if synonyms else (name,)) if text in rows])
            for column, name in enumerate(vocabulary.names)
        ]
        for column, name in enumerate(vocabulary.names):
            if not len(self._rows[column]):
                self._rows[column] = np.array([rows[name]])
        self._first_row_V = np.array([choices[0] for choices in self._rows], dtype=np.int64)
        self._has_choice = any(len(choices) > 1 for choices in self._rows)
        self._column_of = {number: column for column, number in enumerate(vocabulary.category_ids)}
        self._num_prompts = spec.num_prompts
        self._num_drawn = min(spec.num_prompts, len(vocabulary))
        self._padding_rows = np.array([rows[text] for text in padding] * spec.num_prompts, dtype=np.int64)

    def columns(self, category_ids: Iterable[int]) -> Integers:
        """Columns of the vocabulary for these category ids."""
        return np.array([self._column_of[number] for number in category_ids], dtype=np.int64)

    def draw(
        self, present: Integers, random: np.random.Generator, candidates: Integers | None = None
    ) -> tuple[Integers, Integers]:
        """Prompts for the vocabulary columns that are present.

        candidates: the columns that negatives come from; all when absent. Returns bank_rows_K, and position_V: the
        prompt of each vocabulary column, -1 for columns not drawn. All present columns are drawn if K has room for
        them, else a random part; the order is random.
        """
        position_V = np.full(len(self._first_row_V), -1, dtype=np.int64)
        positives = np.unique(present)
        if candidates is not None:
            drawn_K = self._among(positives, candidates, random)
        elif len(positives) >= self._num_drawn:
            drawn_K = random.permutation(positives)[: self._num_drawn]
        else:
            is_absent_V = np.ones(len(position_V), dtype=bool)
            is_absent_V[positives] = False
            negatives = random.permutation(np.flatnonzero(is_absent_V))[: self._num_drawn - len(positives)]
            drawn_K = random.permutation(np.concatenate([positives, negatives]))
        position_V[drawn_K] = np.arange(len(drawn_K))
        if self._has_choice:
            rows_K = np.array([random.choice(self._rows[column]) for column in drawn_K], dtype=np.int64)
        else:
            rows_K = self._first_row_V[drawn_K]
        return np.concatenate([rows_K, self._padding_rows[len(rows_K) :]]), position_V

    def _among(self, positives: Integers, candidates: Integers, random: np.random.Generator) -> Integers:
        """Positives first, then candidates at random, at most K of them; in random order."""
        if len(positives) < self._num_prompts:
            count = min(self._num_prompts, len(candidates))
            others = candidates[random.choice(len(candidates), count, replace=False)]
            positives = np.concatenate([positives, others[~np.isin(others, positives)]])[: self._num_prompts]
            return random.permutation(positives)
        return random.permutation(positives)[: self._num_prompts]
