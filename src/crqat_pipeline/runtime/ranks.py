"""Processes that share every batch: each computes its part, and sums are told to all.

Outside of `together`, and with one process, every function here gives back what it was given, to the bit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from crqat_pipeline.runtime.precision import widened


@dataclass
class _Together:
    """ratio: images of the whole batch for each image of this process's part."""

    is_on: bool = False
    ratio: float = 1.0


_state = _Together()  # no context variable: the backward pass of a GPU runs in a thread of its own


@contextmanager
def together(ratio: float | None = None) -> Iterator[None]:
    """Within the block all processes of torch's default group do the same, each on its part of every batch.

    ratio: images of the whole batch by those of this process; the number of processes when absent. Without a process
    group the block changes nothing.
    """
    before = (_state.is_on, _state.ratio)
    if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
        _state.is_on, _state.ratio = True, ratio or float(distributed.get_world_size())
    try:
        yield
    finally:
        _state.is_on, _state.ratio = before


def num_ranks() -> int:
    """How many processes share a batch; 1 outside of `together`."""
    return distributed.get_world_size() if _state.is_on else 1


def rank() -> int:
    """Number of this process, from 0."""
    return distributed.get_rank() if _state.is_on else 0


def is_first() -> bool:
    """Whether this is the process that writes, logs and calibrates."""
    return rank() == 0


def batch_ratio() -> float:
    """Images of the whole batch for each image of this process's part."""
    return _state.ratio if _state.is_on else 1.0


def sum_over_ranks(values: Tensor) -> Tensor:
    """Elementwise sum over all processes, without gradient; the same bits everywhere."""
    return _reduced(values, distributed.ReduceOp.SUM) if _state.is_on else values


def minimum_over_ranks(values: Tensor) -> Tensor:
    """Elementwise minimum over all processes, without gradient."""
    return _reduced(values, distributed.ReduceOp.MIN) if _state.is_on else values


def maximum_over_ranks(values: Tensor) -> Tensor:
    """Elementwise maximum over all processes, without gradient."""
    return _reduced(values, distributed.ReduceOp.MAX) if _state.is_on else values


def count_over_ranks(count: int, like: Tensor) -> int | Tensor:
    """The sum of a count; on several processes a scalar tensor on the device of `like`, which nothing waits for."""
    if not _state.is_on:
        return count
    return sum_over_ranks(torch.tensor(float(count), dtype=torch.float64, device=like.device))


def share_of_ranks(count: int, like: Tensor) -> float | Tensor:
    """This process's part of a count, 0 to 1: what its mean counts for in the mean over all."""
    if not _state.is_on:
        return 1.0
    own = torch.tensor(float(count), dtype=torch.float64, device=like.device)
    return own / sum_over_ranks(own).clamp(min=1.0)


def mean_over_ranks(mean: Tensor, count: int) -> Tensor:
    """The mean over all processes of means that were each taken over `count` values; without gradient."""
    if not _state.is_on:
        return mean
    wide = widened(mean.detach()).flatten()
    weighted = torch.cat([wide * count, wide.new_tensor([float(count)])])
    total = sum_over_ranks(weighted)
    return (total[:-1] / total[-1].clamp(min=1.0)).reshape(mean.shape).to(mean.dtype)


def text_of_first(text: str) -> str:
    """What the first process says."""
    return texts_of_ranks(text)[0]


def texts_of_ranks(text: str) -> list[str]:
    """What every process says, in the order of their numbers."""
    if not _state.is_on:
        return [text]
    said: list[str] = [""] * num_ranks()
    distributed.all_gather_object(said, text)
    return said


@torch.no_grad()
def state_of_first(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that the first process has under these names, whose shapes may differ from those given."""
    if not _state.is_on:
        return dict(state)
    shapes: dict[str, list[int]] = json.loads(
        text_of_first(json.dumps({name: list(state[name].shape) for name in state}))
    )
    received = {}
    for name, shape in shapes.items():
        received[name] = state[name].detach().clone() if is_first() else state[name].new_empty(shape)
        distributed.broadcast(received[name], 0)
    return received


def _reduced(values: Tensor, operation: distributed.ReduceOp.RedOpType) -> Tensor:
    reduced = values.detach().clone()
    distributed.all_reduce(reduced, operation)
    return reduced
