"""A Ray cluster: the one that is there, or one of our own for as long as it is needed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from crqat_pipeline.training.workers.launch import WorkersLostError
from crqat_pipeline.training.workers.spec import WorkersSpec

STORE_BYTES = 128 * 2**20
"""Of objects, on a cluster of our own: what is large lies in files."""


@contextmanager
def joined_ray() -> Iterator[Any]:
    """The module ray, initialized. RAY_ADDRESS names a cluster to join; without it one is started and ended again.

    Raises ValueError where Ray is not installed. Its usage reports are off.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ValueError(
            f"The engine ray needs the package ray; {error}. Install the extra: pip install 'crqat-pipeline[ray]', or "
            "take another engine."
        ) from error
    if ray.is_initialized():
        yield ray
        return
    own: dict[str, Any] = {"object_store_memory": STORE_BYTES, "include_dashboard": False}
    path = os.pathsep.join(each for each in sys.path if each)
    ray.init(runtime_env={"env_vars": {"PYTHONPATH": path}}, **({} if os.environ.get("RAY_ADDRESS") else own))
    try:
        yield ray
    finally:
        ray.shutdown()


def lost_by_ray(workers: WorkersSpec, error: Exception) -> WorkersLostError:
    """What is raised where Ray gave up."""
    return WorkersLostError(
        f"{workers.num_workers} workers are needed, and Ray could not keep them: {error}. Start the same command "
        "again: it goes on from its last checkpoint."
    )
