"""Everything that a GPU should be asked about this project, in one command, one table and one JSON file.

    make gpu-check                              # one CUDA GPU, no network, at most 20 minutes
    python benchmarks/gpu/check.py --reduced    # the same sections, small, on a CPU: shows that the scripts work
    python benchmarks/gpu/check.py --sections kernels ddp

Each section is a script of benchmarks/ in a process of its own, with a limit in seconds; one that fails or runs out of
time is a row of the table, and the others go on. A row has what was measured, the bar where there is one, and whether
it is met; times on a CPU meet no bar and are only shown. Exit code 1 where a section failed or a bar is not met.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from sections import SECTIONS, Row, Section

TOTAL_S = 20 * 60


@dataclass(frozen=True)
class Outcome:
    """What came of a section: its rows, or why there are none."""

    name: str
    seconds: float
    rows: tuple[Row, ...] = ()
    failure: str = ""
    figures: Any = None


def device_facts() -> dict[str, Any]:
    import torch

    facts: dict[str, Any] = {"torch": torch.__version__, "python": platform.python_version(), "device": "cpu"}
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        facts |= {"device": card.name, "memory_gb": round(card.total_memory / 2**30, 1), "cuda": torch.version.cuda}
    return facts


def run_section(section: Section, device: str, is_reduced: bool, limit_s: float) -> Outcome:
    """In a process of its own, ended at the limit."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "figures.json"
        command = section.command(device, is_reduced, out)
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
        except subprocess.TimeoutExpired:
            return Outcome(section.name, limit_s, failure=f"not done after {limit_s:.0f} s")
        seconds = time.perf_counter() - started
        if done.returncode or not out.exists():
            said = (done.stderr or done.stdout).strip().splitlines()
            return Outcome(section.name, seconds, failure=said[-1][:160] if said else f"exit code {done.returncode}")
        figures = json.loads(out.read_text(encoding="utf-8"))
    return Outcome(section.name, seconds, tuple(section.rows(figures)), figures=figures)


def table(outcomes: Sequence[Outcome], has_bars: bool) -> str:
    """Markdown."""
    lines = ["| section | what | measured | bar | |", "| --- | --- | --- | --- | --- |"]
    for outcome in outcomes:
        if outcome.failure:
            lines.append(f"| {outcome.name} | failed | {outcome.failure} | | ✗ |")
        for row in outcome.rows:
            met = "" if row.is_met is None or (row.is_timed and not has_bars) else "✓" if row.is_met else "✗"
            lines.append(f"| {outcome.name} | {row.what} | {row.measured} | {row.bar} | {met} |")
    return "\n".join(lines)


def is_well(outcomes: Sequence[Outcome], has_bars: bool) -> bool:
    rows = [row for outcome in outcomes for row in outcome.rows if has_bars or not row.is_timed]
    return not any(outcome.failure for outcome in outcomes) and all(row.is_met is not False for row in rows)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reduced", action="store_true", help="small sizes; always so without a GPU")
    parser.add_argument("--sections", nargs="+", choices=[one.name for one in SECTIONS], help="default: all")
    parser.add_argument("--json", default="gpu_check.json", help="where figures go")
    options = parser.parse_args(arguments)
    facts = device_facts()
    has_gpu = facts["device"] != "cpu"
    is_reduced = options.reduced or not has_gpu
    chosen = [one for one in SECTIONS if one.name in (options.sections or [each.name for each in SECTIONS])]
    print(", ".join(f"{name} {value}" for name, value in facts.items()), "(reduced)" if is_reduced else "", flush=True)
    outcomes: list[Outcome] = []
    end = time.perf_counter() + TOTAL_S
    for section in chosen:
        left_s = end - time.perf_counter()
        limit_s = min(section.limit_s, left_s)
        if limit_s < 1:
            outcomes.append(Outcome(section.name, 0.0, failure=f"no time left of {TOTAL_S} s"))
            continue
        outcomes.append(run_section(section, "cuda" if has_gpu else "cpu", is_reduced, limit_s))
        print(
            f"{section.name}: {outcomes[-1].failure or 'done'} in {outcomes[-1].seconds:.0f} s",
            file=sys.stderr,
            flush=True,
        )
    print(table(outcomes, has_bars=has_gpu and not is_reduced))
    content = {
        "device": facts,
        "is_reduced": is_reduced,
        "sections": {
            one.name: {"seconds": one.seconds, "failure": one.failure, "figures": one.figures} for one in outcomes
        },
    }
    Path(options.json).write_text(json.dumps(content, indent=2), encoding="utf-8")
    return 0 if is_well(outcomes, has_bars=has_gpu and not is_reduced) else 1


if __name__ == "__main__":
    raise SystemExit(main())
