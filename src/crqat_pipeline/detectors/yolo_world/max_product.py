"""The largest inner product of every pixel with a set of guides, in bounded memory.

Shape letters: B images, X images or 1 (shared text), M heads, C channels of a head, K prompts, P pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

CPU_CHUNK_ELEMENTS = 2**20
ACCELERATOR_CHUNK_ELEMENTS = 2**26


def max_product(map_BMCP: Tensor, guide_XMKC: Tensor, chunk_elements: int | None = None) -> Tensor:
    """max over k of <map[b, m, :, p], guide[x, m, k, :]>, shape (B, M, P).

    At most `chunk_elements` products (default: what fits the processor's cache, 2^20 on CPU, 2^26 elsewhere)
    exist at one time; prompts beyond that are compared with a running maximum. The gradient goes to the
    winning prompt only, the first one of equals. An exported graph computes all products at once.
    """
    if torch.compiler.is_exporting():
        return torch.matmul(guide_XMKC, map_BMCP).amax(dim=2)
    if chunk_elements is None:
        chunk_elements = CPU_CHUNK_ELEMENTS if map_BMCP.device.type == "cpu" else ACCELERATOR_CHUNK_ELEMENTS
    columns = max(16, chunk_elements // max(1, map_BMCP.numel() // map_BMCP.shape[2]))
    columns = min(columns, guide_XMKC.shape[2])
    if torch.is_grad_enabled() and (map_BMCP.requires_grad or guide_XMKC.requires_grad):
        winners: Tensor = _MaxProduct.apply(map_BMCP, guide_XMKC, columns)  # type: ignore[no-untyped-call]
        return winners
    best_BMP = torch.matmul(guide_XMKC[:, :, :columns], map_BMCP).amax(dim=2)
    for start, stop in _ranges(columns, guide_XMKC.shape[2], columns):
        best_BMP = torch.maximum(best_BMP, torch.matmul(guide_XMKC[:, :, start:stop], map_BMCP).amax(dim=2))
    return best_BMP


def _ranges(first: int, last: int, step: int) -> Iterator[tuple[int, int]]:
    for start in range(first, last, step):
        yield start, min(start + step, last)


class _MaxProduct(torch.autograd.Function):
    """Keeps the index of each winner instead of all K products."""

    @staticmethod
    def forward(ctx: Any, map_BMCP: Tensor, guide_XMKC: Tensor, columns: int) -> Tensor:
        best_BMP, winner_BMP = None, None
        for start, stop in _ranges(0, guide_XMKC.shape[2], columns):
            chunk = torch.matmul(guide_XMKC[:, :, start:stop], map_BMCP).max(dim=2)
            if best_BMP is None or winner_BMP is None:
                best_BMP, winner_BMP = chunk.values, chunk.indices
            else:
                is_better_BMP = chunk.values > best_BMP
                best_BMP = torch.where(is_better_BMP, chunk.values, best_BMP)
                winner_BMP = torch.where(is_better_BMP, chunk.indices + start, winner_BMP)
        assert best_BMP is not None
        ctx.save_for_backward(map_BMCP, guide_XMKC, winner_BMP)
        ctx.columns = columns
        return best_BMP

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, Tensor, None]:
        map_BMCP, guide_XMKC, winner_BMP = ctx.saved_tensors
        grad_BMP = grads[0].to(map_BMCP.dtype)  # autocast may have multiplied in another precision
        grad_map_BMCP = torch.zeros_like(map_BMCP, memory_format=torch.contiguous_format)
        grad_guide_XMKC = torch.zeros_like(guide_XMKC, memory_format=torch.contiguous_format)
        pixels_BMPC = map_BMCP.transpose(2, 3)
        for start, stop in _ranges(0, guide_XMKC.shape[2], ctx.columns):
            width = stop - start  # row `width` collects the pixels that were won by other chunks
            column_BMP = torch.where((winner_BMP >= start) & (winner_BMP < stop), winner_BMP - start, width)
            shape = (*winner_BMP.shape[:2], width + 1, winner_BMP.shape[2])
            spread_BMKP = grad_BMP.new_zeros(shape).scatter_(2, column_BMP.unsqueeze(2), grad_BMP.unsqueeze(2))[
                :, :, :width
            ]
            grad_map_BMCP += torch.matmul(guide_XMKC[:, :, start:stop].to(map_BMCP.dtype).transpose(2, 3), spread_BMKP)
            grad_BMKC = torch.matmul(spread_BMKP, pixels_BMPC)
            is_shared = guide_XMKC.shape[0] == 1
            grad_guide_XMKC[:, :, start:stop] = grad_BMKC.sum(0, keepdim=True) if is_shared else grad_BMKC
        return grad_map_BMCP, grad_guide_XMKC, None
