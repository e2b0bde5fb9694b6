"""The launchers of workers by the name of their engine; each is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from crqat_pipeline.runtime.lookup import look_up
from crqat_pipeline.training.workers.launch import Launch


def _with_torchrun(launch: Launch) -> None:
    from crqat_pipeline.training.workers.torchrun import launch_with_torchrun

    launch_with_torchrun(launch)


def _with_ray(launch: Launch) -> None:
    from crqat_pipeline.training.workers.ray_tasks import launch_as_tasks
    from crqat_pipeline.training.workers.ray_train import launch_with_ray

    (launch_with_ray if launch.is_group else launch_as_tasks)(launch)


LAUNCHERS: Mapping[str, Callable[[Launch], None]] = MappingProxyType({"torchrun": _with_torchrun, "ray": _with_ray})
"""engine -> starts all workers and waits for them. Raises WorkersLostError."""


def start_workers(launch: Launch) -> None:
    """Start the workers of the run's engine and wait until all have ended. Raises WorkersLostError."""
    look_up(LAUNCHERS, launch.workers.engine, "engine of workers")(launch)
