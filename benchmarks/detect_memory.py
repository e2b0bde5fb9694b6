"""Time and peak memory of `crqat detect` over many files, killed half-way and continued.

    python benchmarks/detect_memory.py                  # 10,000 tiny photographs, one in a hundred damaged
    python benchmarks/detect_memory.py --images 1000

The model is an untrained detector of 64 px with two prompts of its own. The first command is killed (SIGKILL) when half
of the files are done, the second one goes on. Peak memory is that of each process; memory that does not grow with the
files is shown by the growth between the first thousand files and the last.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.model_files import DetectorRow, to_checkpoint, write_checkpoint
from crqat_pipeline.model_files.checkpoint_file import TEXT_BANK_TENSOR
from crqat_pipeline.structures.checkpoint import Checkpoint

DETECTOR = "yolo_world_open_shapes"
EARLY = 1000


def write_model(path: Path) -> None:
    torch.manual_seed(0)
    detector = build_detector(DETECTOR).eval()
    bank = {"prompts": ["red lamp", "stray cat"], "encoder": "noise", "is_normalized": False}
    whole = to_checkpoint(
        detector.state_dict(), DetectorRow.of(DETECTOR, {}), None, (), text_bank=bank, image_size_px=64
    )
    embeddings = torch.randn(2, detector.embedding_dim)
    write_checkpoint(path, Checkpoint({**whole.tensors, TEXT_BANK_TENSOR: embeddings}, whole.metadata))


def write_photographs(folder: Path, count: int) -> int:
    """Returns how many of them are damaged."""
    folder.mkdir()
    for number in range(count):
        file = folder / f"{number:05}.jpg"
        Image.new("RGB", (60, 40), (number % 256, number // 256, 90)).save(file, quality=30)
        if number % 100 == 50:
            file.write_bytes(file.read_bytes()[:300])
    return sum(1 for number in range(count) if number % 100 == 50)


def resident_mb(pid: int, field: str) -> float:
    """VmRSS or VmHWM (the peak) of a process (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def done_files(out: Path) -> int:
    lines = out / "detections.jsonl"
    return lines.read_bytes().count(b"\n") if lines.exists() else 0


def watched(command: list[str], out: Path, stop_at: int | None) -> tuple[float, float, float, int]:
    """Seconds, memory early, peak memory, exit code; killed once `stop_at` files are done."""
    started, early_mb, peak_mb = time.perf_counter(), 0.0, 0.0
    begun_with = done_files(out)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            peak_mb = resident_mb(process.pid, "VmHWM")
            if not early_mb and done_files(out) >= begun_with + EARLY:
                early_mb = resident_mb(process.pid, "VmRSS")
        except (OSError, StopIteration):  # it has just ended
            break
        if stop_at is not None and done_files(out) >= stop_at:
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.5)
    return time.perf_counter() - started, early_mb, peak_mb, process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, pictures, out = folder / "model.safetensors", folder / "in", folder / "out"
        write_model(model)
        num_damaged = write_photographs(pictures, options.images)
        command = [sys.executable, "-c", "from crqat_pipeline.cli import main; main()", "detect"]
        command += [str(model), str(pictures), "--out", str(out)]
        for title, stop_at in (("killed half-way", options.images // 2), ("continued", None)):
            before = done_files(out)
            seconds, early_mb, peak_mb, code = watched(command, out, stop_at)
            print(f"{title:<16}{before:6} done before{seconds:8.0f} s, exit {code}", end="")
            print(f"   {early_mb:6.0f} MB after {EARLY} files, peak {peak_mb:6.0f} MB", flush=True)
        records = json.loads((out / "detections.json").read_text())["images"]
        failed = sum("error" in record for record in records)
        print(
            f"{len(records)} of {options.images} files recorded, {failed} of {num_damaged} damaged ones with a reason"
        )


if __name__ == "__main__":
    main()
