"""What `check.py` asks: each section's script, its arguments on a GPU and in small, and its rows of the table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BENCHMARKS = HERE.parent

QAT_OVER_FULL_PRECISION = 1.25
CR_QAT_OVER_QAT = 1.10
SAME_LOSS = 1e-4
SAME_AP = 0.03
"""Between the embedded benchmark's AP on the GPU and the committed one: about two standard deviations over seeds."""


@dataclass(frozen=True)
class Row:
    """is_met: None where there is no bar. is_timed: the bar is for a GPU at full size."""

    what: str
    measured: str
    bar: str = ""
    is_met: bool | None = None
    is_timed: bool = False


@dataclass(frozen=True)
class Section:
    """script: a file below benchmarks/. full and small: its arguments. limit_s: when it is ended."""

    name: str
    script: Path
    full: tuple[str, ...]
    small: tuple[str, ...]
    rows: Callable[[Any], Iterable[Row]]
    limit_s: float

    def command(self, device: str, is_reduced: bool, out: Path) -> list[str]:
        options = self.small if is_reduced else self.full
        return [sys.executable, str(self.script), "--device", device, *options, "--json", str(out)]


def kernel_rows(figures: Mapping[str, Any]) -> Iterator[Row]:
    """One per kernel and type: the largest error over the shapes."""
    by_kernel: dict[str, list[Any]] = {}
    for name, error in figures["errors"].items():
        kernel, type_name, _ = name.split(", ", 2)
        by_kernel.setdefault(f"{kernel}, {type_name}", []).append(error)
    for name, errors in by_kernel.items():
        refused = [error for error in errors if isinstance(error, str)]
        bound = figures["bounds"][name.split(", ")[1]]
        if len(refused) == len(errors):
            yield Row(f"{name} against fp64", f"not offered: {refused[0]}")
            continue
        largest = max(error for error in errors if not isinstance(error, str))
        yield Row(f"{name} against fp64", f"{largest:.0e}", f"≤ {bound:.0e}", largest <= bound and not refused)


def step_rows(figures: Mapping[str, Any]) -> Iterator[Row]:
    """Time and memory of a QAT step over full precision; the bar is for the faster of the own kernels."""
    results, options = figures["results"], figures["options"]
    clock = "wall_s" if options["device"] == "cuda" else "cpu_s"
    size = f"{options['detector']}, {options['image_size']} px, batch {options['batch']}"
    base = results["full precision"]
    own = {
        name: one[clock] / base[clock]
        for name, one in results.items()
        if name in ("auto", "triton", "eager", "compiled")
    }
    for name, one in results.items():
        text = f"{1000 * one[clock]:.1f} ms, {one[clock] / base[clock]:.2f} ×; {one['peak_mb']:.0f} MB"
        is_best = bool(own) and name == min(own, key=own.__getitem__)
        bar = f"≤ {QAT_OVER_FULL_PRECISION} ×" if is_best else ""
        met = own[name] <= QAT_OVER_FULL_PRECISION if is_best else None
        yield Row(f"step, {name}: {size}", text, bar, met, is_timed=True)


def curriculum_rows(figures: Mapping[str, Any]) -> Iterator[Row]:
    ratio = figures["total_ratio"]
    yield Row("CR-QAT over QAT", f"{ratio:.3f} ×", f"≤ {CR_QAT_OVER_QAT} ×", ratio <= CR_QAT_OVER_QAT, is_timed=True)


def ddp_rows(figures: Mapping[str, Any]) -> Iterator[Row]:
    difference = figures["largest_difference"]
    what = f"losses of one process under {figures['backend']}"
    yield Row(what, f"{difference:.0e} apart", f"≤ {SAME_LOSS:.0e}", difference <= SAME_LOSS)


def provider_rows(figures: Mapping[str, Any]) -> Iterator[Row]:
    for provider, row in figures["rows"].items():
        if isinstance(row, str):
            yield Row(provider, row)
        else:
            yield Row(provider, f"{row['ms']:.2f} ms, {row['largest_difference']:.0e} from the CPU's answers")


def job_rows(figures: Mapping[str, Any]) -> Iterator[Row]:
    """AP of every form; held to the committed one where the size is that of the benchmark."""
    for form, ap in figures["AP"].items():
        expected = (figures.get("expected") or {}).get(form)
        if expected is None:
            yield Row(f"AP of {form}", f"{ap:.3f}")
        else:
            met = abs(ap - expected) <= SAME_AP
            yield Row(f"AP of {form}", f"{ap:.3f}", f"{expected:.3f} ± {SAME_AP}", met)
    yield Row("the whole run", f"{figures['seconds']:.0f} s")


STEP = BENCHMARKS / "quantizer_speed.py"
TOY = ("--detector", "yolo_world_open_shapes", "--image-size", "64", "--batch", "2", "--prompts", "4", "--steps", "2")
OWN_KERNELS = ("auto", "triton", "eager", "compiled")
OWN_ROWS = ("--rows", "full precision", "triton", "eager", "compiled", "native", "brevitas")
SMALL_ROWS = ("--rows", "full precision", "auto")

SECTIONS = (
    Section(
        "kernels", HERE / "kernels.py", (), ("--kernels", "auto", "eager", "composite", "native"), kernel_rows, 120
    ),
    Section(
        "ddp", HERE / "one_process_ddp.py", (), ("--image-size", "64", "--batch", "2", "--steps", "2"), ddp_rows, 120
    ),
    Section("graph", HERE / "graph_providers.py", (), ("--image-size", "64", "--calls", "2"), provider_rows, 180),
    Section(
        "step of S",
        STEP,
        ("--detector", "yolo_world_s", "--image-size", "640", "--batch", "16", "--steps", "20", *OWN_ROWS),
        (*TOY, *SMALL_ROWS),
        step_rows,
        240,
    ),
    Section(
        "step of S, bf16",
        STEP,
        (
            "--detector",
            "yolo_world_s",
            "--image-size",
            "640",
            "--batch",
            "16",
            "--steps",
            "20",
            "--autocast",
            *OWN_ROWS[:5],
        ),
        (*TOY, "--autocast", *SMALL_ROWS),
        step_rows,
        180,
    ),
    Section(
        "step of L, batch 16",
        STEP,
        ("--detector", "yolo_world_l", "--image-size", "640", "--batch", "16", "--steps", "10", *OWN_ROWS[:5]),
        (*TOY, *SMALL_ROWS),
        step_rows,
        240,
    ),
    Section(
        "step of L, batch 48",
        STEP,
        (
            *("--detector", "yolo_world_l", "--image-size", "640", "--batch", "48", "--steps", "5", "--autocast"),
            *("--rows", "full precision", "triton"),
        ),
        (*TOY, "--autocast", *SMALL_ROWS),
        step_rows,
        240,
    ),
    Section(
        "method",
        BENCHMARKS / "curriculum_cost.py",
        (
            "--detector",
            "yolo_world_s",
            "--image-size",
            "640",
            "--batch",
            "16",
            "--prompts",
            "80",
            "--steps",
            "20",
            "--autocast",
        ),
        ("--image-size", "64", "--batch", "2", "--prompts", "4", "--steps", "2"),
        curriculum_rows,
        180,
    ),
    Section("embedded benchmark", HERE / "main_job.py", (), ("--env", "smoke"), job_rows, 600),
)
"""In this order, cheap ones first: what the time does not reach is a row that says so."""
