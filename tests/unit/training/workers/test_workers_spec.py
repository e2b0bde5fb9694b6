"""What can be asked of workers, and what is refused before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from crqat_pipeline.training.workers.launch import Launch
from crqat_pipeline.training.workers.process import read_launch
from crqat_pipeline.training.workers.spec import WorkersSpec
from crqat_pipeline.training.workers.table import LAUNCHERS
from crqat_pipeline.training.workers.torchrun import command_of, described

CLUSTER = {
    "engine": "torchrun",
    "num_workers": 16,
    "machines": 2,
    "launch": ["srun", "--ntasks-per-node=1"],
    "rendezvous": "node0:29500",
}


def test_one_process_is_the_default():
    assert not WorkersSpec().is_shared
    assert {"in_process", *LAUNCHERS} == {"in_process", "torchrun", "ray"}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"engine": "in_process", "num_workers": 2}, "Set engine: torchrun or ray"),
        ({"engine": "dask"}, "engine"),
        (CLUSTER | {"num_workers": 15}, "multiple of machines"),
        (CLUSTER | {"rendezvous": None}, "launch and rendezvous"),
        (CLUSTER | {"engine": "ray"}, "Ray knows its own machines"),
        ({"engine": "ray", "resources_per_worker": {"GPU": -1}}, "at least 0"),
    ],
)
def test_what_cannot_be_is_refused(changes, text):
    with pytest.raises(ValueError, match=text):
        WorkersSpec(**changes)


def test_several_machines_are_reached_by_the_given_command():
    launch = Launch("a.module:function", Path("/data/job"), "abc", "cuda", WorkersSpec(**CLUSTER))
    command = command_of(launch)
    assert command[:2] == ["srun", "--ntasks-per-node=1"]
    assert {"--nnodes=2", "--nproc-per-node=8", "--rdzv-endpoint=node0:29500", "--rdzv-id=abc"} <= set(command)
    assert "--standalone" not in command


def test_a_worker_reads_the_launch_that_was_described():
    launch = Launch("a.module:function", Path("/data/job"), "abc", "auto", WorkersSpec(**CLUSTER))
    assert read_launch(described(launch)) == launch
