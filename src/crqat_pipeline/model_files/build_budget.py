"""A builder that is given options out of a file cannot take more memory than the file's own numbers need."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

FACTORIES: frozenset[Callable[..., Any]] = frozenset(
    {
        torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.tensor, torch.arange,
        torch.linspace, torch.eye, torch.empty_like, torch.zeros_like, torch.ones_like, torch.rand_like,
        torch.randn_like, torch.full_like,
    }
)  # fmt: skip
TIMES_STORED = 10
"""Two codes share a byte, a BatchNorm has five vectors for two stored ones, and builders keep tables of their own."""
SPARE_ELEMENTS, SPARE_TENSORS = 4_000_000, 5_000


class BuildBudget(TorchFunctionMode):
    """Inside it, tensors may be made up to a multiple of what a file holds; the next one raises ValueError."""

    def __init__(self, stored: Iterable[Tensor]) -> None:
        super().__init__()
        sizes = [tensor.numel() for tensor in stored]
        self._elements = TIMES_STORED * sum(sizes) + SPARE_ELEMENTS
        self._tensors = TIMES_STORED * len(sizes) + SPARE_TENSORS
        self._stored = sum(sizes)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in FACTORIES and isinstance(result, Tensor):
            self._elements -= result.numel()
            self._tensors -= 1
            if self._elements < 0 or self._tensors < 0:
                raise ValueError(f"its options ask for far more numbers than the {self._stored:,} that the file holds")
        return result
