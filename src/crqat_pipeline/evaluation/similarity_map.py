"""Where in an image a detector finds its classes: each region's similarity to its class, spread over a grid
(the paper's figure 4).

Shape letters: N regions, C classes asked for, D embedding, h w cells of the grid.
Detectors with a feature pyramid have one region per cell of each level; others are placed by where they look.
"""

from __future__ import annotations

from itertools import accumulate

import torch
from torch import Tensor

from crqat_pipeline.structures.output import DetectorOutput

CELL_PX = 16


def class_similarity(output: DetectorOutput, image: int, prompts: list[int]) -> Tensor:
    """(N,): each region's highest cosine with the text embeddings of these prompts, for one image of a batch."""
    if not prompts:
        raise ValueError("A heat map needs at least one prompt; got none. Name the classes of the image.")
    texts = output.text_embeddings[image] if output.text_embeddings.ndim == 3 else output.text_embeddings
    regions_ND = torch.nn.functional.normalize(output.region_embeddings_BND[image].float(), dim=-1)
    texts_CD = torch.nn.functional.normalize(texts[prompts].float(), dim=-1)
    return (regions_ND @ texts_CD.T).amax(dim=1)


def spread(similarity_N: Tensor, centres_N2: Tensor, height_px: int, width_px: int, strides: tuple[int, ...]) -> Tensor:
    """(h, w): regions of a pyramid fill their cells, in cells of its finest stride; others count where they look.

    centres_N2: x, y in pixels. strides: of the detector's levels, in pixels; empty for regions without fixed places.
    """
    if strides and len(similarity_N) == sum((height_px // one) * (width_px // one) for one in strides):
        return pyramid_map(similarity_N, height_px, width_px, strides)
    return similarity_map(similarity_N, centres_N2, height_px, width_px, strides[0] if strides else CELL_PX)


def pyramid_map(similarity_N: Tensor, height_px: int, width_px: int, strides: tuple[int, ...]) -> Tensor:
    """(h, w): for each cell of the finest level the mean over levels of the anchor whose cell it lies in."""
    sizes = [(height_px // stride, width_px // stride) for stride in strides]
    ends = list(accumulate(rows * columns for rows, columns in sizes))
    levels = torch.tensor_split(similarity_N.float(), ends[:-1])
    maps = [
        torch.nn.functional.interpolate(level.reshape(1, 1, *size), size=sizes[0], mode="nearest")[0, 0]
        for level, size in zip(levels, sizes, strict=True)
    ]
    return torch.stack(maps).mean(dim=0)


def similarity_map(
    similarity_N: Tensor, centres_N2: Tensor, height_px: int, width_px: int, cell_px: int = CELL_PX
) -> Tensor:
    """(h, w): mean similarity of the regions whose centre falls into each cell, NaN for cells without one."""
    if len(similarity_N) != len(centres_N2):
        raise ValueError(
            f"A similarity map needs one centre per region; got {len(centres_N2)} centres and "
            f"{len(similarity_N)} similarities."
        )
    rows, columns = -(-height_px // cell_px), -(-width_px // cell_px)
    column_N = (centres_N2[:, 0] // cell_px).long().clamp(0, columns - 1)
    row_N = (centres_N2[:, 1] // cell_px).long().clamp(0, rows - 1)
    cell_N = row_N * columns + column_N
    total = torch.zeros(rows * columns).index_add_(0, cell_N, similarity_N.float())
    count = torch.zeros(rows * columns).index_add_(0, cell_N, torch.ones(len(cell_N)))
    return (total / count).reshape(rows, columns)
