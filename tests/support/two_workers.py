"""The same function in several processes of one gloo group, on one machine."""

from __future__ import annotations

import pickle
import socket
from collections.abc import Callable
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import torch
from torch import distributed

from crqat_pipeline.runtime.ranks import together

LIMIT_S = 120


def on_workers(number: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What `work`, a function of a module, gave on each worker. Raises RuntimeError with the text of an error."""
    context = get_context("forkserver")  # a process that has run autograd must not be forked
    context.set_forkserver_preload(["torch", "crqat_pipeline.runtime.ranks"])  # workers need not import these again
    answers = context.SimpleQueue()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        context.Process(target=_worker, args=(rank, number, port, answers, work, arguments)) for rank in range(number)
    ]
    for process in processes:
        process.start()
    results: dict[int, Any] = {}
    try:
        for _ in processes:
            rank, result, error = answers.get()
            if error:
                raise RuntimeError(f"worker {rank}: {error}")
            results[rank] = pickle.loads(result)
        for process in processes:
            process.join(LIMIT_S)
    finally:
        for process in processes:
            process.kill()
    return [results[rank] for rank in range(number)]


def _worker(rank, number, port, answers, work, arguments):
    torch.set_num_threads(1)
    try:
        with gloo_group(rank, number, port), together():
            answers.put((rank, pickle.dumps(work(*arguments)), ""))  # a tensor's own way needs this process later
    except BaseException as error:
        answers.put((rank, None, f"{type(error).__name__}: {error}"))


@contextmanager
def gloo_group(rank, number, port):
    distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=number)
    try:
        yield
    finally:
        distributed.destroy_process_group()
