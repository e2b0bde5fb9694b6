"""Query groups and their relation matrices: the text–region embedding space of one image and one prompt.

Shape letters: B images, N regions, K prompts, D embedding, P positives of a batch, G query groups,
T tokens of a group (texts first, then its regions, padded to the largest group).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from crqat_pipeline.runtime.precision import widened
from crqat_pipeline.structures.output import PositiveRegions

SMALLEST_NORM = 1e-4
"""Shorter embeddings are divided by this instead of their length: a cosine's gradient grows with 1 / length, up to 1e12
with PyTorch's own floor. Unit texts and regions of ordinary length (about 1) keep their bits."""


@dataclass(frozen=True)
class QueryGroups:
    """Positives sorted into groups.

    group_P: group of every positive; slot_P: its token (regions follow the text tokens).
    text_image_Q, text_prompt_Q, text_group_Q, text_slot_Q: one row per text token, where it is read and put.
    token_mask_GT: True where a token exists; is_text_GT: True for text tokens.
    """

    group_P: Tensor
    slot_P: Tensor
    text_image_Q: Tensor
    text_prompt_Q: Tensor
    text_group_Q: Tensor
    text_slot_Q: Tensor
    token_mask_GT: Tensor
    is_text_GT: Tensor

    def __len__(self) -> int:
        return int(self.token_mask_GT.shape[0])


def _rank_within(group_P: Tensor, num_groups: int) -> tuple[Tensor, Tensor]:
    """Position of every row among the rows of its group (in row order), and the size of each group."""
    size_G = torch.bincount(group_P, minlength=num_groups)
    order_P = torch.argsort(group_P, stable=True)
    start_G = size_G.cumsum(0) - size_G
    rank_P = torch.empty_like(group_P)
    rank_P[order_P] = torch.arange(len(group_P), device=group_P.device) - start_G[group_P[order_P]]
    return rank_P, size_G


def group_by_query(positives: PositiveRegions, across_queries: bool = False) -> QueryGroups:
    """One group per (image, prompt) with positives; with `across_queries` one group per image.

    Text tokens come first: X_c = [t_c, v_c1, …, v_cN] (CR-QAT, section on TRKD).
    """
    prompt_base = int(positives.prompt_P.max()) + 1 if len(positives.prompt_P) else 1
    key_P = positives.image_P * prompt_base + positives.prompt_P
    query_key_Q, query_P = torch.unique(key_P, return_inverse=True)
    text_image_Q, text_prompt_Q = query_key_Q // prompt_base, query_key_Q % prompt_base
    if across_queries:
        images, text_group_Q = torch.unique(text_image_Q, return_inverse=True)
        num_groups = len(images)
    else:
        text_group_Q = torch.arange(len(query_key_Q), device=key_P.device)
        num_groups = len(query_key_Q)
    group_P = text_group_Q[query_P]
    text_slot_Q, num_texts_G = _rank_within(text_group_Q, num_groups)
    rank_P, num_regions_G = _rank_within(group_P, num_groups)
    size_G = num_texts_G + num_regions_G
    token_T = torch.arange(int(size_G.max()) if num_groups else 0, device=key_P.device)
    return QueryGroups(
        group_P=group_P,
        slot_P=rank_P + num_texts_G[group_P],
        text_image_Q=text_image_Q,
        text_prompt_Q=text_prompt_Q,
        text_group_Q=text_group_Q,
        text_slot_Q=text_slot_Q,
        token_mask_GT=token_T < size_G[:, None],
        is_text_GT=token_T < num_texts_G[:, None],
    )


def relation_matrices(groups: QueryGroups, regions_PD: Tensor, text_embeddings: Tensor) -> Tensor:
    """Cosine similarities S = X̂ X̂ᵀ of every group, shape (G, T, T), zero where a token is padding.

    regions_PD: embeddings of the positives. text_embeddings: (K, D) or (B, K, D).
    """
    if text_embeddings.ndim == 2:
        texts_QD = text_embeddings[groups.text_prompt_Q]
    else:
        texts_QD = text_embeddings[groups.text_image_Q, groups.text_prompt_Q]
    num_groups, num_tokens = groups.token_mask_GT.shape
    regions_PD = F.normalize(widened(regions_PD), dim=-1, eps=SMALLEST_NORM)
    texts_QD = F.normalize(widened(texts_QD), dim=-1, eps=SMALLEST_NORM)
    tokens_GTD = regions_PD.new_zeros(num_groups, num_tokens, regions_PD.shape[-1])
    tokens_GTD = tokens_GTD.index_put(
        (torch.cat([groups.text_group_Q, groups.group_P]), torch.cat([groups.text_slot_Q, groups.slot_P])),
        torch.cat([texts_QD, regions_PD]),
    )
    return tokens_GTD @ tokens_GTD.transpose(1, 2)
