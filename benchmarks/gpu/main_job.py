"""The main job of the embedded benchmark on one device, in a folder of its own, and its AP beside the committed one.

python benchmarks/gpu/main_job.py --device cuda --json out.json
python benchmarks/gpu/main_job.py --device cpu --env smoke --json out.json
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
FIGURES = Path("08_reporting/evaluation/ap_by_form.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--env", default="base", help="an environment of conf/")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data, conf = Path(folder) / "data", Path(folder) / "conf"
        shutil.copytree(PROJECT / "conf", conf)
        target = conf / ("local" if options.env == "base" else options.env) / "globals.yml"
        target.parent.mkdir(exist_ok=True)
        target.write_text(f"data_root: {data}\n", encoding="utf-8")
        command = [sys.executable, "-m", "kedro", "run", "--pipelines=crqat_full", f"--conf-source={conf}"]
        command += [
            f"--env={'local' if options.env == 'base' else options.env}",
            f"--params=run.device={options.device}",
        ]
        environment = os.environ | {
            "MLFLOW_TRACKING_URI": f"sqlite:///{Path(folder) / 'mlflow.db'}",
            "DO_NOT_TRACK": "true",
        }
        start = time.perf_counter()
        subprocess.run(command, cwd=PROJECT, env=environment, stdout=sys.stderr, check=True)
        figures = json.loads((data / FIGURES).read_text(encoding="utf-8")) | {"seconds": time.perf_counter() - start}
    committed = PROJECT / "data" / FIGURES
    if options.env == "base" and committed.exists():
        figures["expected"] = json.loads(committed.read_text(encoding="utf-8"))["AP"]
    for form, ap in figures["AP"].items():
        print(f"{form:<12}{ap:.4f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
