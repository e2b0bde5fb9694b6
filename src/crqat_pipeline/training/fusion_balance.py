"""Gradients of a student's branches, balanced where they are concatenated; training alone, the network stays as it is.

Where branches of different noise meet, the gradient that flows back is larger into some than into others, and a coarse
quantizer makes that worse: the branch with the larger one is trained, the others follow. Each branch's gradient is
scaled towards the mean size of all (the balance of arXiv 2511.05898). A sum hands the same gradient to every branch, so
there is nothing to balance.

Shape letters: B images, C channels, H W cells of a feature map.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.overrides import TorchFunctionMode

from crqat_pipeline.runtime.precision import widened
from crqat_pipeline.runtime.ranks import count_over_ranks, sum_over_ranks

FUSIONS: Mapping[Any, tuple[int, ...]] = MappingProxyType({torch.cat: (1, -3), torch.stack: (1, 2)})
"""What brings branches (B, C, H, W) together -> along which axes of the result; a stack interleaves channels."""


class FusionBalanceSpec(BaseModel):
    """How far gradients into the branches of a concatenation are balanced."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    strength: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Exponent of the factor: 1 makes the gradients equal, towards 0 leaves them",
    )
    largest_factor: float = Field(default=4.0, gt=1, description="A gradient is scaled by at most this, or its inverse")


class _Balance(torch.autograd.Function):
    """The branches as they are; their gradients scaled."""

    @staticmethod
    def forward(ctx: Any, spec: FusionBalanceSpec, *branches: Tensor) -> tuple[Tensor, ...]:
        ctx.spec = spec
        return tuple(branch.view_as(branch) for branch in branches)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        known = [gradient for gradient in gradients if gradient is not None]
        factors = iter(balancing_factors(known, ctx.spec))
        return (None, *(gradient if gradient is None else gradient * next(factors) for gradient in gradients))


def balancing_factors(gradients: list[Tensor], spec: FusionBalanceSpec) -> Tensor:
    """One factor per branch: (mean of the sizes / own size) ^ strength, within the spec's limits; 1 where it is zero.

    The size is the root mean square of a branch's gradient over the whole batch, of all workers.
    """
    sums_N = torch.stack([widened(gradient).square().sum() for gradient in gradients]).double()
    counts_N = torch.stack(
        [torch.as_tensor(count_over_ranks(gradient.numel(), like=gradient)).to(sums_N) for gradient in gradients]
    )
    size_N = (sum_over_ranks(sums_N) / counts_N).sqrt()
    factor_N = (size_N.mean() / size_N).pow(spec.strength)
    factor_N = factor_N.clamp(1 / spec.largest_factor, spec.largest_factor)
    return torch.where(size_N > 0, factor_N, 1.0).to(gradients[0].dtype)


class _Fusions(TorchFunctionMode):
    """Puts the balance before every concatenation of feature maps by their channels."""

    def __init__(self, spec: FusionBalanceSpec) -> None:
        super().__init__()
        self._spec = spec

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in FUSIONS:
            maps, *rest = args
            if kwargs.get("dim", rest[0] if rest else 0) in FUSIONS[func] and _are_maps(maps):
                return func(_Balance.apply(self._spec, *maps), *rest, **kwargs)  # type: ignore[no-untyped-call]
        return func(*args, **kwargs)


def _are_maps(tensors: Any) -> bool:
    return len(tensors) > 1 and all(one.ndim == 4 and one.requires_grad for one in tensors)


@contextmanager
def balanced_fusions(spec: FusionBalanceSpec | None) -> Iterator[None]:
    """Within the block, what is concatenated has balanced gradients. None: the block changes nothing."""
    if spec is None:
        yield
        return
    with _Fusions(spec):
        yield
