"""Worker processes that hold the study's problem and take jobs one after another."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from types import TracebackType
from typing import Any, TypeVar

import torch

from crqat_pipeline.runtime.progress import progress
from crqat_pipeline.study.problem import StudyProblem

Job = TypeVar("Job")
Result = TypeVar("Result")

_held: dict[str, StudyProblem] = {}


def _start_worker(problem: StudyProblem, threads: int) -> None:
    torch.set_num_threads(threads)
    _held["problem"] = problem


def _call(work: Callable[[Any, StudyProblem], Any], job: Any) -> Any:
    return work(job, _held["problem"])


@contextmanager
def _workers_without_bars() -> Iterator[None]:
    """Workers inherit the environment; tqdm reads this when it is imported there."""
    before = os.environ.get("TQDM_DISABLE")
    os.environ["TQDM_DISABLE"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TQDM_DISABLE"]
        else:
            os.environ["TQDM_DISABLE"] = before


class StudyPool:
    """`with StudyPool(...) as pool: for job, result in pool.run(jobs, work, label)`; results in order of completion.

    work(job, problem) must be a module-level function. An exception in a worker ends the run; what was finished before
    stays written.
    """

    def __init__(self, problem: StudyProblem, processes: int, threads_per_process: int) -> None:
        self._executor = ProcessPoolExecutor(
            processes,
            mp_context=get_context("spawn"),
            initializer=_start_worker,
            initargs=(problem, threads_per_process),
        )

    def __enter__(self) -> StudyPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """After Ctrl-C or SIGTERM workers end at once; what they were at goes on from its last checkpoint next time."""
        if kind is not None and not issubclass(kind, Exception):
            for worker in active_children():
                worker.terminate()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def run(
        self, jobs: Sequence[Job], work: Callable[[Job, StudyProblem], Result], label: str
    ) -> Iterator[tuple[Job, Result]]:
        with _workers_without_bars():
            futures = {self._executor.submit(_call, work, job): job for job in jobs}
        for future in progress(as_completed(futures), label, total=len(futures), unit="cell"):
            yield futures[future], future.result()
