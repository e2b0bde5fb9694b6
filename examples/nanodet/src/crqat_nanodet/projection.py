"""A closed-set classifier as a region embedding that is compared with text.

A level scores class k by w_k · f + b_k. With unit text embeddings t_k of the class names, look for (P, v) and a number
c with t_k · (P f + v) + c = w_k · f + b_k for all classes. There are fewer names (80) than dimensions (512), so a
solution exists where the names are linearly independent; of all solutions the one of least norm is taken. The class
names as prompts then give the closed-set scores, and any other prompt is answered by its place among them.

Shape letters: K classes, C channels of a region, D embedding.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from crqat_pipeline.detectors.weights import WeightsRefused

LARGEST_CONDITION = 1e8
"""Of the products of the names with one another: beyond it, float32 scores would not be the closed-set ones."""


class TextClassifier(NamedTuple):
    """logit = <t, weight_DC f + bias_D> + offset."""

    weight_DC: Tensor
    bias_D: Tensor
    offset: Tensor


def to_text_classifier(weight_KC: Tensor, bias_K: Tensor, text_KD: Tensor) -> TextClassifier:
    """Solved in float64; text rows are brought to unit length first.

    Raises WeightsRefused where two names have the same embedding, or the space has too few dimensions for the names.
    """
    text_KD = functional.normalize(text_KD.double(), dim=1)
    gram_KK = text_KD @ text_KD.T
    condition = float(torch.linalg.cond(gram_KK))
    if not condition < LARGEST_CONDITION:
        raise WeightsRefused(
            f"The embeddings of {len(text_KD)} class names must be independent of one another; in this text space of "
            f"{text_KD.shape[1]} dimensions they are not (condition {condition:.1g}). Use another text encoder."
        )
    offset = bias_K.double().mean()
    wanted_KX = torch.cat((weight_KC.double(), (bias_K.double() - offset)[:, None]), dim=1)
    solved_DX = text_KD.T @ torch.linalg.solve(gram_KK, wanted_KX)
    return TextClassifier(solved_DX[:, :-1].float(), solved_DX[:, -1].float(), offset.float())
