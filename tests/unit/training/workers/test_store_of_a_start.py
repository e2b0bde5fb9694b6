"""Workers that replace lost ones meet in a store where the lost ones have left nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from crqat_pipeline.training.workers.launch import Launch
from crqat_pipeline.training.workers.spec import WorkersSpec
from crqat_pipeline.training.workers.torchrun import added_to_environment

WORKER = """
import os, sys
print(os.environ["TORCHELASTIC_RESTART_COUNT"], os.environ["MASTER_PORT"], flush=True)
sys.exit(os.environ["TORCHELASTIC_RESTART_COUNT"] == "0")
"""
"""It falls the first time, and needs no torch to say where the others would be met."""


def test_each_start_of_the_workers_has_a_store_of_its_own(tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    launch = Launch("a.module:function", Path("job"), "abc", "cpu", WorkersSpec(engine="torchrun", num_workers=2))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--max-restarts=1"]
    told = subprocess.run(
        [*launcher, str(tmp_path / "worker.py")],
        env=os.environ | added_to_environment(launch),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    ports = dict(line.split() for line in told.stdout.splitlines())
    assert set(ports) == {"0", "1"}
    assert ports["0"] != ports["1"]
