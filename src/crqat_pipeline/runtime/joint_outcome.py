"""Work that every process does by itself, and that all of them give up together where it fails on one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from crqat_pipeline.runtime.ranks import num_ranks, rank, sum_over_ranks, texts_of_ranks

Result = TypeVar("Result")


class OtherWorkerError(RuntimeError):
    """Another worker failed; the message names it and what it said."""


def all_or_none(work: Callable[[], Result], device: torch.device | str) -> Result:
    """What `work` gives here, once it has gone well everywhere: one that failed alone would leave the others waiting.

    device: where sums over processes are taken. Raises what `work` raised here, with a note that names this worker;
    OtherWorkerError where it failed elsewhere.
    """
    if num_ranks() == 1:
        return work()
    failure: Exception | None = None
    try:
        result = work()
    except Exception as error:
        failure = error
    if float(sum_over_ranks(torch.tensor(float(failure is not None), device=device))) == 0:
        return result
    said = texts_of_ranks("" if failure is None else f"{type(failure).__name__}: {failure}")
    if failure is not None:
        failure.add_note(f"This was on rank {rank()} of {num_ranks()} workers.")
        raise failure
    others = "; ".join(f"rank {number}: {text}" for number, text in enumerate(said) if text)
    raise OtherWorkerError(f"A step needs all {num_ranks()} workers; it failed on {others}")
