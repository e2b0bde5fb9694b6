"""Workers started by Ray Train, on whatever machines its cluster has (extra ray)."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import distributed

from crqat_pipeline.runtime.ranks import together
from crqat_pipeline.training.workers.heartbeat import Watch, watching
from crqat_pipeline.training.workers.launch import Launch
from crqat_pipeline.training.workers.process import RUN_IS_OVER, read_launch
from crqat_pipeline.training.workers.ray_cluster import joined_ray, lost_by_ray
from crqat_pipeline.training.workers.torchrun import described


def launch_with_ray(launch: Launch) -> None:
    """Run a TorchTrainer to its end. Raises ValueError without Ray, WorkersLostError."""
    workers = launch.workers
    with joined_ray():
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        trainer = TorchTrainer(
            work,
            train_loop_config=described(launch),
            torch_config=TorchConfig(backend="nccl" if workers.uses_gpu else "gloo"),
            scaling_config=ScalingConfig(
                num_workers=workers.num_workers,
                use_gpu=workers.uses_gpu,
                resources_per_worker=dict(workers.resources_per_worker) or {"CPU": 1},
            ),
            run_config=RunConfig(
                name=launch.token,
                storage_path=str((launch.folder / "ray").resolve()),
                failure_config=FailureConfig(max_failures=workers.max_restarts),
            ),
        )
        try:
            trainer.fit()
        except Exception as error:
            raise lost_by_ray(workers, error) from error


def work(facts: dict[str, Any]) -> None:
    """In a worker of Ray, which has made the process group."""
    launch = read_launch(facts)
    with watching(Watch(launch.folder, launch.token, launch.workers.silence_s), _end), together():
        torch.set_num_threads(launch.workers.threads)
        distributed.barrier()  # a worker that refuses at once would be gone before the others have found it
        launch.call_entry()


def _end() -> None:
    os._exit(RUN_IS_OVER)
