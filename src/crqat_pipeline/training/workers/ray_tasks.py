"""Workers that each work by themselves, as tasks of Ray: a lost one is started again alone (extra ray)."""

from __future__ import annotations

import os
from typing import Any

import torch

from crqat_pipeline.training.workers.heartbeat import Watch, watching
from crqat_pipeline.training.workers.launch import Launch
from crqat_pipeline.training.workers.process import RUN_IS_OVER, read_launch
from crqat_pipeline.training.workers.ray_cluster import joined_ray, lost_by_ray
from crqat_pipeline.training.workers.torchrun import described


def launch_as_tasks(launch: Launch) -> None:
    """Start one task per worker and wait for all. Raises ValueError without Ray, WorkersLostError."""
    workers = launch.workers
    amounts = dict(workers.resources_per_worker) or {"CPU": 1}
    options = {"num_cpus": amounts.pop("CPU", 1), "num_gpus": amounts.pop("GPU", 0), "resources": amounts}
    with joined_ray() as ray:
        task = ray.remote(work_alone).options(**options, max_retries=workers.max_restarts)
        try:
            ray.get([task.remote(described(launch)) for _ in range(workers.num_workers)])
        except Exception as error:
            raise lost_by_ray(workers, error) from error


def work_alone(facts: dict[str, Any]) -> None:
    """In a worker of Ray."""
    launch = read_launch(facts)
    with watching(Watch(launch.folder, launch.token, launch.workers.silence_s), _end):
        torch.set_num_threads(launch.workers.threads)
        launch.call_entry()


def _end() -> None:
    os._exit(RUN_IS_OVER)
