"""`kill -9` in the middle of stage 2, then the same command again: the same bits, and nothing left over."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from crqat_pipeline.catalog_io.checkpoint import SafetensorsCheckpoint

pytestmark = pytest.mark.slow

NUM_STEPS, EVERY = 16, 2
COMMAND = (
    *(sys.executable, "-m", "kedro", "run", "--env=smoke", "--pipelines=stage1_backbone,stage2_neck_head"),
    f"--params=stage2_neck_head.train.optimization.num_steps={NUM_STEPS},"
    f"stage2_neck_head.train.optimization.checkpoint_every_steps={EVERY}",
)


class OwnData:
    """The data of the whole run, copied, with a conf that points there; commands run in processes of their own."""

    def __init__(self, smoke, folder: Path, store: Path) -> None:
        self.project, self.data, self.conf = smoke.project, folder / "data", folder / "conf"
        shutil.copytree(smoke.data, self.data)
        shutil.copytree(smoke.conf, self.conf)
        (self.conf / "smoke" / "globals.yml").write_text(f"data_root: {self.data}\n", encoding="utf-8")
        shutil.copy(store, folder / "mlflow.db")
        self.environment = os.environ | {
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
            "OMP_NUM_THREADS": "1",
        }
        self.resume = self.data / "06_models" / "stage2_neck_head" / "resume"
        (self.data / "06_models" / "stage2_neck_head" / "student.safetensors").unlink()

    def start(self) -> subprocess.Popen[str]:
        command = [*COMMAND, f"--conf-source={self.conf}"]
        return subprocess.Popen(
            command, cwd=self.project, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def run(self) -> str:
        process = self.start()
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        return output

    def kill_after(self, step: int) -> str:
        """Kill the run as soon as the checkpoint of this step is there; returns what it had printed."""
        process, deadline = self.start(), time.monotonic() + 300
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

    def student(self) -> dict[str, torch.Tensor]:
        path = self.data / "06_models" / "stage2_neck_head" / "student.safetensors"
        return SafetensorsCheckpoint(filepath=str(path)).load().tensors


def remaining(output: str) -> set[int]:
    """Steps that stage 2 said it had left when it started or while it ran."""
    lines = [line for line in output.splitlines() if line.startswith("stage2_neck_head:") and "/" in line]
    return {int(line.split("/")[1].split()[0]) for line in lines}


def test_a_killed_run_ends_with_the_bits_of_one_that_was_not(smoke, tmp_path, mlflow_template):
    whole, killed = (OwnData(smoke, tmp_path / name, mlflow_template) for name in ("whole", "killed"))
    assert remaining(whole.run()) == {NUM_STEPS}

    killed.kill_after(step=4)
    first = killed.steps()
    assert len(first) == 2
    assert first[-1] < NUM_STEPS - EVERY

    # Again, and killed again: it goes on where it was. The newest checkpoint is cut short, so the one before it counts.
    assert remaining(killed.kill_after(step=first[-1] + 2 * EVERY)) == {NUM_STEPS - first[-1]}
    *_, older, newest = killed.steps()
    damaged = killed.checkpoint(newest)
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    assert remaining(killed.run()) == {NUM_STEPS - older}

    expected, got = whole.student(), killed.student()
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    for one in (whole, killed):
        assert not one.resume.exists()
        assert not [path for path in one.data.rglob("*") if path.name.endswith(".tmp")]
