"""Loader processes at the paper's recipe: what several cost on this machine, and how often training waits for them.

    python benchmarks/loader_processes.py                # one and sixteen real processes, then the simulation
    python benchmarks/loader_processes.py --processes 16 --batches-each 2 --times 96
    python benchmarks/loader_processes.py --json out.json

Real: PyTorch's DataLoader as training uses it, images and recipe of benchmarks/loader.py, a split of --records images
(records repeat, so that the columns have a size). Per image, processor time of all processes together; per process,
memory from /proc: its own (unique set size) and with its share of what several map (proportional).

Simulated: every process has a core of its own. A process makes whole parts of batches, one after another; PyTorch asks
for two a process in advance and hands them on in order. Times of images are drawn from those that were measured.
Several consumers share a batch and go on together when the last has its part.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import warnings
from itertools import product
from pathlib import Path
from time import perf_counter, process_time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from numpy.typing import NDArray

from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.detection_data.prompt_sampling import PromptSampler
from crqat_pipeline.detection_data.training_loader import TrainingBatches, training_batches
from loader import PRE_TRAINING, made_data

PREFETCHED = 2
"""Batches that PyTorch asks each process for in advance."""

STEPS, LEFT_OUT = 3000, 200
"""Simulated, and how many of the first are not counted: the first batches are always waited for."""

CONSUMERS = {"one, 48 images": (1, 48), "eight, 6 images each": (8, 6)}
LATE = {"": (0.0, 0.0), ", one in 100 a second late": (0.01, 1.0)}
"""A share of images that come later by so many seconds, as from a disk that others use."""

SPEEDS = (5.8, 47.0, 58.0)
PROCESSES = (1, 2, 4, 8, 10, 12, 16)


def image_seconds(data: tuple, size: int, count: int) -> NDArray[np.float64]:
    """Processor time of single images, in this process."""
    split, images, bank = data
    spec = LoaderSpec(image_size_px=size, batch_size=1, **PRE_TRAINING)
    dataset = TrainingBatches(split, images, PromptSampler(split.vocabulary, bank, spec), spec, 0)
    dataset[count]
    seconds = []
    for number in range(count):
        started = process_time()
        dataset[number]
        seconds.append(process_time() - started)
    return np.array(seconds)


def memory_mb(pid: int | str) -> dict[str, float]:
    """Own and proportional memory of a process, MB."""
    lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    kilobytes = {line[0].rstrip(":"): int(line[1]) for line in lines}
    own = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
    return {"own": own / 1024, "proportional": kilobytes["Pss"] / 1024}


def seconds_of_all() -> float:
    """Processor time of this process and of those that it has ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in both)


def real(data: tuple, size: int, processes: int, batches: int, batch: int) -> dict[str, float]:
    split, images, bank = data
    spec = LoaderSpec(image_size_px=size, batch_size=batch, num_workers=processes, **PRE_TRAINING)
    cpu, started = seconds_of_all(), perf_counter()
    stream = training_batches(split, images, bank, split.vocabulary, spec, 0, 0, batches)
    memory: list[dict[str, float]] = []
    for number, _ in enumerate(stream):
        if number == batches // 2:
            memory = [memory_mb(child.pid) for child in multiprocessing.active_children() if child.pid]
    wall = perf_counter() - started
    row = {"images_per_s": batches * batch / wall, "cpu_s_per_image": (seconds_of_all() - cpu) / (batches * batch)}
    for name in ("own", "proportional"):
        row[f"{name}_mb"] = float(np.mean([one[name] for one in memory])) if memory else 0.0
    return row


def waits(seconds: NDArray[np.float64], step_s: float, processes: int) -> tuple[float, float]:
    """Share of steps that wait, and steps per second. seconds: (steps, consumers), what each part of a batch takes."""
    steps, consumers = seconds.shape
    finished = np.zeros((steps, consumers))
    received = np.zeros(steps)
    free = np.zeros((processes, consumers))
    ready, waited = 0.0, 0
    for step in range(steps):
        asked = received[step - PREFETCHED * processes] if step >= PREFETCHED * processes else 0.0
        free[step % processes] = np.maximum(free[step % processes], asked) + seconds[step]
        finished[step] = free[step % processes]
        last = float(finished[step].max())
        waited += step >= LEFT_OUT and last > ready
        received[step] = max(ready, last)
        ready = received[step] + step_s
    rate = (steps - 1 - LEFT_OUT) / (received[-1] - received[LEFT_OUT])
    return waited / (steps - LEFT_OUT), rate


def simulate(times: NDArray[np.float64]) -> list[dict[str, object]]:
    """One row per consumers and speed of each; images per second are those of all consumers."""
    rows: list[dict[str, object]] = []
    for (name, (consumers, part)), (late, (share, by_s)) in product(CONSUMERS.items(), LATE.items()):
        random = np.random.default_rng(0)
        shape = (STEPS, consumers, part)
        seconds = (random.choice(times, shape) + by_s * (random.random(shape) < share)).sum(2)
        for speed in SPEEDS:
            found = {number: waits(seconds, part / speed, number) for number in PROCESSES}
            cells = {
                str(number): {"waits": part_waiting, "images_per_s": rate * consumers * part}
                for number, (part_waiting, rate) in found.items()
            }
            rows.append({"consumers": f"{name}{late}", "images_per_s_each": speed, "processes": cells})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--processes", type=int, nargs="*", default=[0, 1, 16])
    parser.add_argument("--batch", type=int, default=2, help="images of a batch that a real process makes")
    parser.add_argument("--batches-each", type=int, default=2)
    parser.add_argument("--times", type=int, default=96, help="images that are measured one by one")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="This DataLoader will create")  # more than there are cores, on purpose
    with tempfile.TemporaryDirectory() as folder:
        split, images, bank = made_data(Path(folder), options.images)
        rows = np.arange(options.records) % options.images
        data = (split.with_images(split.images.take(rows)), images, bank)
        size_mb = data[0].images.table.nbytes / 2**20
        print(f"{options.records} records, {data[0].images.num_boxes} boxes: columns of {size_mb:.0f} MB", flush=True)
        times = image_seconds(data, options.size, options.times)
        low, middle, high = np.percentile(times, [5, 50, 95])
        print(
            f"an image: {low:.3f}, {middle:.3f}, {high:.3f} s (5, 50, 95 of 100), mean {times.mean():.3f}", flush=True
        )
        measured: dict[int, dict[str, float]] = {}
        print(
            "| processes | images/s, all together | processor time per image | own MB | proportional MB |\n"
            + "| --- " * 5
            + "|"
        )
        for number in options.processes:
            count = options.batches_each * max(number, 4)
            measured[number] = found = real(data, options.size, number, count, options.batch)
            cells = (f"{found['images_per_s']:.1f}", f"{found['cpu_s_per_image']:.3f} s")
            print(
                f"| {number} | {' | '.join(cells)} | {found['own_mb']:.0f} | {found['proportional_mb']:.0f} |",
                flush=True,
            )
    table = simulate(times)
    print("| consumers | images/s each | " + " | ".join(f"{n} processes" for n in PROCESSES) + " |")
    print("| --- " * (2 + len(PROCESSES)) + "|")
    for row in table:
        cells = [f"{100 * one['waits']:.0f} %, {one['images_per_s']:.1f}" for one in row["processes"].values()]  # type: ignore[attr-defined]
        print(f"| {row['consumers']} | {row['images_per_s_each']} | {' | '.join(cells)} |")
    if options.json:
        facts = {"times_s": times.tolist(), "real": measured, "simulated": table}
        options.json.write_text(json.dumps(facts, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
