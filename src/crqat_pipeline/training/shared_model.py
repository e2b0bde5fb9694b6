"""One step's forward and backward pass, on one worker or on several that each have a part of the batch.

Losses of a worker are its part: they add up to the losses of the whole batch, and so do the gradients.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from crqat_pipeline.runtime.ranks import num_ranks, sum_over_ranks
from crqat_pipeline.structures.batch import DetectionBatch
from crqat_pipeline.training.task import TrainingTask

_NAMES = signature(DistributedDataParallel.__init__).parameters
_BUFFERS = "forward_sync_buffers" if "forward_sync_buffers" in _NAMES else "broadcast_buffers"
"""PyTorch's option that sends buffers before every step, under its new or its old name. They need not be sent: what
changes them in training is synchronized, so they are equal everywhere."""


class _TaskModule(nn.Module):
    """A task as a module. Its parameters are those of the trained detector: a teacher inside the task is no part."""

    def __init__(self, task: TrainingTask) -> None:
        super().__init__()
        self.detector = task.detector
        self._task = task

    def forward(self, batch: DetectionBatch) -> dict[str, Tensor]:
        return self._task.losses(batch)


class SharedModel:
    """`losses` and `backward` of a task; gradients are summed over the workers during the last backward pass of a step.

    Parameters that stand still must have requires_grad off before: they are not sent. Every other one needs a
    gradient in every step.
    """

    def __init__(self, task: TrainingTask) -> None:
        self._task = task
        self._parallel = None
        if num_ranks() > 1:
            options: dict[str, Any] = {_BUFFERS: False}
            self._parallel = DistributedDataParallel(_TaskModule(task), **options)

    def losses(self, batch: DetectionBatch) -> dict[str, Tensor]:
        """This worker's part of the losses, by name."""
        return self._task.losses(batch) if self._parallel is None else self._parallel(batch)

    def backward(self, loss: Tensor) -> None:
        """PyTorch sends the mean of the workers' gradients; the sum is wanted."""
        scaled = loss if self._parallel is None else loss * num_ranks()
        scaled.backward()  # type: ignore[no-untyped-call]

    @contextmanager
    def one_pass(self, is_last: bool) -> Iterator[None]:
        """Around forward and backward of one of the passes that make a step; gradients are sent in the last."""
        with nullcontext() if is_last or self._parallel is None else self._parallel.no_sync():
            yield


def whole_losses(losses: dict[str, Tensor]) -> dict[str, float]:
    """Of the whole batch, the same on every worker."""
    if num_ranks() == 1:
        return {name: float(loss.detach()) for name, loss in losses.items()}
    totals = sum_over_ranks(torch.stack([loss.detach().double() for loss in losses.values()]))
    return dict(zip(losses, totals.tolist(), strict=True))
