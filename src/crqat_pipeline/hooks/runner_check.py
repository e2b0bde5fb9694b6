"""Whether the runner that `kedro run` is given is there, takes its options, and can run the pipelines."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from kedro.framework.project import pipelines
from kedro.runner import AbstractRunner
from kedro.utils import load_obj

from crqat_pipeline.hooks.checks.parameter_faults import did_you_mean

RUNNERS = ("SequentialRunner", "ThreadRunner", "ParallelRunner")
WORKERS = "max_workers"


def check_runner(runner: str | None, options: Mapping[str, Any], names: Sequence[str]) -> None:
    """Raises ValueError for a runner that is not there, options that it does not take, and training beside others.

    runner: its name in kedro.runner, or package.module.Class; None for Kedro's default. options: of --runner-params.
    names: the pipelines to run; none of them stands for all.
    """
    name = runner or RUNNERS[0]
    taken = inspect.signature(_runner(name)).parameters
    unknown = [option for option in options if option not in taken]
    if unknown:
        raise ValueError(f"{name} takes {', '.join(taken)}; --runner-params has {', '.join(unknown)}. Leave it out.")
    workers = options.get(WORKERS)
    if workers is not None and not (isinstance(workers, int) and workers > 0):
        raise ValueError(f"{WORKERS} of --runner-params is a whole number above zero; got {workers!r}. Correct it.")
    if name.rpartition(".")[2] == "ParallelRunner":
        pipelines.set_requested(list(names) or None)
        tracking = [one for one in names or ["__default__"] if "tracker" in pipelines[one].inputs()]
        if tracking:
            raise ValueError(
                f"ParallelRunner cannot run {', '.join(tracking)}: training reports its progress from this process "
                "alone. Leave out --runner, or use ThreadRunner."
            )


def _runner(name: str) -> type[AbstractRunner]:
    try:
        found = load_obj(name, "kedro.runner")
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"No runner {name!r}.{did_you_mean(name, RUNNERS)} There are: {', '.join(RUNNERS)}, and classes of your "
            "own as package.module.Class."
        ) from error
    if not (isinstance(found, type) and issubclass(found, AbstractRunner)):
        raise ValueError(f"{name!r} is no runner of Kedro. There are: {', '.join(RUNNERS)}.")
    return found
