"""Workers started by torch.distributed.run: one launcher for this machine, or one on each by a command such as srun."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from crqat_pipeline.training.workers.launch import Launch, WorkersLostError

PROCESS = "crqat_pipeline.training.workers.process"
GRACE_S = 20.0
"""How long a launcher may take to end its workers before it is killed."""


def command_of(launch: Launch) -> list[str]:
    """What is started on each machine, after the command that starts it there."""
    workers = launch.workers
    meeting = (
        ["--standalone"]
        if workers.machines == 1
        else ["--rdzv-backend=c10d", f"--rdzv-endpoint={workers.rendezvous}", f"--rdzv-id={launch.token}"]
    )
    return [
        *workers.launch,
        sys.executable,
        "-m",
        "torch.distributed.run",
        f"--nnodes={workers.machines}",
        f"--nproc-per-node={workers.num_workers // workers.machines}",
        f"--max-restarts={workers.max_restarts}",
        *meeting,
        "-m",
        PROCESS,
        json.dumps(described(launch)),
    ]


def described(launch: Launch) -> dict[str, object]:
    """A launch as JSON, for the command line of a worker."""
    return {**asdict(launch), "folder": str(launch.folder), "workers": launch.workers.model_dump(mode="json")}


def added_to_environment(launch: Launch) -> dict[str, str]:
    """What a launcher finds in its environment besides that of the run.

    A store of their own for each start of the workers: in the launcher's, which outlives them, those that replace lost
    ones may read the addresses of the lost, and wait for them (seen with PyTorch 2.15, two workers in gloo's
    connectFullMesh).
    """
    return {
        "OMP_NUM_THREADS": str(launch.workers.threads),
        "PYTHONPATH": os.pathsep.join(map(str, _import_path())),
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }


def launch_with_torchrun(launch: Launch) -> None:
    """Start the launcher in a session of its own and wait; it is ended with whatever ends the wait.

    Raises WorkersLostError.
    """
    launcher = subprocess.Popen(
        command_of(launch), env={**os.environ, **added_to_environment(launch)}, start_new_session=True
    )
    try:
        code = launcher.wait()
    except BaseException:
        _end(launcher)
        raise
    if code:
        raise WorkersLostError(
            f"{launch.workers.num_workers} workers are needed, and were lost {launch.workers.max_restarts + 1} times; "
            "the launcher's lines above say why. Start the same command again: it goes on from its last checkpoint."
        )


def _import_path() -> list[Path]:
    return [Path(path).resolve() for path in sys.path if path]


def _end(launcher: subprocess.Popen[bytes]) -> None:
    """SIGTERM, on which the launcher ends its workers; SIGKILL for its whole session if that takes too long."""
    launcher.terminate()
    try:
        launcher.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(launcher.pid, signal.SIGKILL)
        launcher.wait()
