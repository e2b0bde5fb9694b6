"""Wall-clock and peak memory of a whole pipeline run, in a fresh data folder.

    python benchmarks/run_time.py --env smoke     # budget: 90 s on 2 cores
    python benchmarks/run_time.py --env base      # budget: 12 minutes and 6 GB on 2 cores, teacher included

The run writes to a temporary folder and its own MLflow store; the project's data stay untouched. Linux only.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

PROJECT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="smoke", choices=("smoke", "base"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        conf = Path(folder) / "conf"
        shutil.copytree(PROJECT / "conf", conf)
        (conf / options.env / "globals.yml").write_text(f"data_root: {folder}/data\n", encoding="utf-8")
        command = ["kedro", "run", "--pipelines=crqat_full", f"--env={options.env}", f"--conf-source={conf}"]
        environment = os.environ | {
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        started = perf_counter()
        subprocess.run(command, check=True, cwd=PROJECT, env=environment)
        seconds = perf_counter() - started
    peak_gb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"{options.env}: {seconds:.0f} s, largest process {peak_gb:.2f} GB")


if __name__ == "__main__":
    main()
