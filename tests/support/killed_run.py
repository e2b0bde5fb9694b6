"""`kedro run` in a process of its own, which a test kills and starts again; counts what it trained."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from crqat_pipeline.catalog_io.checkpoint import SafetensorsCheckpoint

LIMIT_S = 300
BAR = re.compile(r"^(\w+):.*\| *\d+/(\d+) \[.*step", re.MULTILINE)
TAKEN = re.compile(r"(\w+): taken as it was trained from the same inputs")


def steps_by_stage(output: str) -> dict[str, int]:
    """The steps that each stage set out to train, as its progress bar says; a stage that trains nothing has no bar."""
    return {stage: int(total) for stage, total in BAR.findall(output)}


def taken_stages(output: str) -> list[str]:
    """The stages of which the log says that their result was taken, in order."""
    return TAKEN.findall(output)


class KilledRun:
    """One command on one data folder; it is killed by what it has kept of stage 2."""

    def __init__(self, project: Path, conf: Path, data: Path, store: Path, arguments: Sequence[str]) -> None:
        self.project, self.data = project, data
        self.command = (sys.executable, "-m", "kedro", "run", f"--conf-source={conf}", *arguments)
        self.environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{store}", "OMP_NUM_THREADS": "1"}
        self.stage = data / "06_models" / "stage2_neck_head"
        self.resume = self.stage / "resume"

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command,
            cwd=self.project,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self) -> str:
        process = self.start()
        output, _ = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0, output
        return output

    def kill_after(self, step: int) -> str:
        """Kill the run as soon as the checkpoint of this step is there; returns what it had printed."""
        process, deadline = self.start(), time.monotonic() + LIMIT_S
        while not self.checkpoint(step).exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        output, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL, output
        return output

    def checkpoint(self, step: int) -> Path:
        return self.resume / f"step_{step:08d}.safetensors"

    def steps(self) -> list[int]:
        return sorted(int(path.stem.removeprefix("step_")) for path in self.resume.glob("step_*.safetensors"))

    def student(self) -> dict[str, Tensor]:
        return dict(SafetensorsCheckpoint(filepath=str(self.stage / "student.safetensors")).load().tensors)
