"""Where in an image a detector finds its classes: each region's similarity to its class, spread over a grid
(the paper's figure 4).

Shape letters: N regions, C classes asked for, D embedding, h w cells of the grid.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from crqat_pipeline.structures.output import DetectorOutput


def class_similarity(output: DetectorOutput, image: int, prompts: list[int]) -> Tensor:
    """(N,): each region's highest cosine with the text embeddings of these prompts, for one image of a batch."""
    if not prompts:
        raise ValueError("A heat map needs at least one prompt; got none. Name the classes of the image.")
    texts = output.text_embeddings[image] if output.text_embeddings.ndim == 3 else output.text_embeddings
    regions_ND = torch.nn.functional.normalize(output.region_embeddings_BND[image].float(), dim=-1)
    texts_CD = torch.nn.functional.normalize(texts[prompts].float(), dim=-1)
    return (regions_ND @ texts_CD.T).amax(dim=1)


def grid_centres(height_px: int, width_px: int, strides: tuple[int, ...] = (8, 16, 32)) -> Tensor:
    """(N, 2): x, y in pixels of the cells of a feature pyramid, level by level, row by row."""
    levels = []
    for stride in strides:
        y, x = torch.meshgrid(
            torch.arange(height_px // stride) + 0.5, torch.arange(width_px // stride) + 0.5, indexing="ij"
        )
        levels.append(torch.stack([x, y], dim=-1).reshape(-1, 2) * stride)
    return torch.cat(levels)


def similarity_map(
    similarity_N: Tensor, centres_N2: Tensor, height_px: int, width_px: int, cell_px: int = 16
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


def heat_map_picture(image: Image.Image, map_hw: Tensor, low: float, high: float, opacity: float = 0.6) -> Image.Image:
    """The map over the image, coloured from low to high. Give all forms the same low and high to compare them."""
    if not low < high:
        raise ValueError(f"A heat map needs low < high; got {low} and {high}. Take them from all forms together.")
    from matplotlib import colormaps

    values = map_hw.nan_to_num(nan=low).clamp(low, high).numpy()
    small: npt.NDArray[np.float32] = ((values - low) / (high - low)).astype(np.float32)
    smooth = np.asarray(Image.fromarray(small).resize(image.size, Image.Resampling.BICUBIC)).clip(0, 1)
    colours = Image.fromarray((colormaps["inferno"](smooth)[..., :3] * 255).astype(np.uint8))
    return Image.blend(image.convert("RGB"), colours, opacity)
