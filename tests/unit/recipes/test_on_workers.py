"""A stage on real workers of torchrun and Ray: one result, one tracker, and what happens to those that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from crqat_pipeline.recipes.finished_stage import StageKeep
from crqat_pipeline.recipes.qat import run_stage
from crqat_pipeline.recipes.specs import QatStageSpec, RunSpec
from crqat_pipeline.recipes.stage_job import StageJob, read_job, write_job

pytestmark = pytest.mark.slow
LIMIT_S = 900
TITLES = {"torchrun": b"training.workers.process", "ray": b"RayTrainWorker"}
"""Engine -> what stands in the command line of its workers."""
LOADER = {"image_size_px": 64, "batch_size": 2, "num_prompts": 4}


class Told:
    """A tracker that remembers steps; it may do something at one of them."""

    def __init__(self, at=None, action=None):
        self.steps, self._at, self._action = [], at, action

    def metrics(self, values, step):
        self.steps.append(step)
        if self._at == step and self._action:
            self._action, act = None, self._action
            act()


def stage(num_steps, **optimization):
    return QatStageSpec(
        name="stage2_neck_head",
        parts=("backbone", "neck", "head"),
        loader=LOADER,
        optimization={
            "num_steps": num_steps,
            "learning_rate": 1e-4,
            "log_every_steps": 1,
            "checkpoint_every_steps": 1,
            **optimization,
        },
        distillation={"pkd": {"weight": 6.0}, "trkd": {"weight": 6.0}},
    )


def run_on(workers, engine="torchrun", **options):
    chosen = {"engine": engine, "num_workers": workers} if workers else {}
    return RunSpec(seed=0, device="cpu", workers=chosen | options)


def trained(problem, teacher, folder, run, spec, tracker=None):
    keep = StageKeep(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return run_stage(teacher, teacher, problem.qat, problem.calibration, problem.quantization, spec, run, keep, tracker)


def workers_of(engine: str, folder: Path) -> list[int]:
    """Process ids of workers, found by their command line; those of torchrun that work below `folder`."""
    wanted = [TITLES[engine], *([os.fsencode(folder)] if engine == "torchrun" else [])]
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if all(part in command for part in wanted) and b"torch.distributed.run" not in command:
            found.append(int(entry.name))
    return sorted(found)


def kill_one_worker(engine: str, folder: Path) -> None:
    os.kill(workers_of(engine, folder)[-1], signal.SIGKILL)


def ended(engine: str, folder: Path, within_s: float) -> bool:
    """Whether no worker is left after at most so many seconds."""
    until = time.monotonic() + within_s
    while workers_of(engine, folder) and time.monotonic() < until:
        time.sleep(0.5)
    return not workers_of(engine, folder)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds workers in /proc")
@pytest.mark.parametrize("engine", TITLES)
def test_a_killed_worker_is_replaced_and_the_stage_ends_as_if_it_had_lived(problem, teacher, tmp_path, engine):
    if engine == "ray" and find_spec("ray") is None:
        pytest.skip("Ray is not installed here (extra ray)")
    spec = stage(num_steps=12)
    lived = trained(problem, teacher, tmp_path / "lived", run_on(2, engine), spec)
    told = Told(at=1, action=lambda: kill_one_worker(engine, tmp_path))
    killed = trained(problem, teacher, tmp_path / "killed", run_on(2, engine), spec, told)
    assert told.steps == list(range(1, 13))
    for expected, row in zip(lived.history, killed.history, strict=True):
        assert row == pytest.approx(expected, rel=1e-5)
    assert lived.student.tensors.keys() == killed.student.tensors.keys()
    assert killed.student.metadata == lived.student.metadata
    assert not (tmp_path / "killed" / "workers").exists()
    assert ended(engine, tmp_path, within_s=30)


A_RUN = """
import os, signal, sys
from pathlib import Path
from crqat_pipeline.recipes.teacher import make_teacher
from tests.support.tiny_study import study_problem
from tests.unit.recipes import test_on_workers as here

folder, kills = Path(sys.argv[1]), sys.argv[2] == "kills"
problem = study_problem(folder / "images")
teacher = make_teacher(problem.detector, problem.qat, problem.teacher, here.run_on(0)).student
told = here.Told(at=1, action=lambda: os.kill(os.getpid(), signal.SIGKILL) if kills else None)
here.trained(problem, teacher, folder / "stage", here.run_on(2, silence_s=3.0), here.stage(num_steps=12), told)
print("steps", *told.steps)
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds workers in /proc")
def test_workers_of_a_killed_run_end_and_the_next_run_goes_on(tmp_path, project):
    command = [sys.executable, "-c", A_RUN, str(tmp_path)]
    killed = subprocess.run([*command, "kills"], cwd=project, check=False, timeout=LIMIT_S)
    assert killed.returncode == -signal.SIGKILL
    assert ended("torchrun", tmp_path, within_s=60)
    assert list((tmp_path / "stage").glob("step_*.safetensors"))
    again = subprocess.run(
        [*command, "lives"], cwd=project, check=True, capture_output=True, text=True, timeout=LIMIT_S
    )
    steps = [int(step) for step in again.stdout.split("steps")[-1].split()]
    assert steps[-1] == 12
    assert steps[0] > 1


def test_what_a_worker_refuses_is_refused_here_without_starting_it_again(problem, teacher, tmp_path):
    started = time.monotonic()
    with pytest.raises(ValueError, match="got 3 workers for batches of 2"):
        trained(problem, teacher, tmp_path / "few", run_on(3, max_restarts=1), stage(num_steps=1))
    assert time.monotonic() - started < 600


def test_a_job_reads_back_as_it_was_written(problem, teacher, tmp_path):
    job = StageJob(
        kind="qat",
        specs={"spec": stage(1), "run": run_on(2)},
        data={"data": problem.qat},
        checkpoints=tmp_path,
        facts={"seed": "0"},
        models={"student": teacher, "teacher": teacher},
    )
    write_job(tmp_path / "job", job)
    read = read_job(tmp_path / "job")
    assert QatStageSpec.model_validate(read.specs["spec"]) == stage(1)
    assert RunSpec.model_validate(read.specs["run"]) == run_on(2)
    assert read.data["data"].split == problem.qat.split
    assert read.data["data"].vocabulary == problem.qat.vocabulary
    assert torch.equal(read.data["data"].text_bank.embeddings_KD, problem.qat.text_bank.embeddings_KD)
    assert read.data["data"].images.root == problem.qat.images.root.resolve()
    assert read.models["student"] is read.models["teacher"]
    assert all(torch.equal(teacher.tensors[name], value) for name, value in read.models["student"].tensors.items())
