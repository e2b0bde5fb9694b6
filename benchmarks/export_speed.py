"""Latency, memory and size of every exported form, against full precision in ONNX and in PyTorch, in one run.

    python -m benchmarks.export_speed                       # YOLO-World-S, 640 px, 80 prompts, 1 and 2 threads
    python -m benchmarks.export_speed --detector yolo_world_n --image-size 320 --threads 1
    python -m benchmarks.export_speed --bits 8-8-8 4-8-8 --only "onnxruntime fp32" "onnxruntime fast" --threads 1

Weights are random, which changes no time; quantizers are calibrated on noise. Every row is a fresh process, so that
peak memory is its own, and rounds go through all rows in turn, so that other work on the machine falls on all of them.
cpu: median processor time of one call, which other processes hardly touch; wall: the fastest call. memory: peak while
loading and running, libraries included. speed: against "onnxruntime fp32", by cpu with one thread and by wall with more
(waiting threads burn processor time). Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.speed_setting import setting, speed_parser

ROWS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "PyTorch fp32": ("torch", "fp32"),
        "onnxruntime fp32": ("onnxruntime", "fp32"),
        "onnxruntime fp32, no embeddings": ("onnxruntime", "fp32_short"),
        "onnxruntime fast": ("onnxruntime", "fast"),
        "onnxruntime fast, no embeddings": ("onnxruntime", "fast_short"),
        "onnxruntime spec": ("onnxruntime", "spec"),
        "OpenVINO fp32, no embeddings": ("openvino", "fp32_short"),
        "OpenVINO openvino, no embeddings": ("openvino", "openvino_short"),
        "OpenVINO fast, no embeddings": ("openvino", "fast_short"),
        "onnxruntime openvino, no embeddings": ("onnxruntime", "openvino_short"),
    }
)
"""Row -> runtime and file. "short" files leave out the output of region embeddings, with which version 2 needs less."""
BASELINE = "onnxruntime fp32"


def rows_of(widths: Sequence[str], starts: Sequence[str]) -> dict[str, tuple[str, str]]:
    """ROWS whose names begin with one of `starts`, the quantized ones once per width."""
    chosen = {label: row for label, row in ROWS.items() if label.startswith(tuple(starts)) or label == BASELINE}
    return {
        f"{label}{suffix}": (runtime, f"{file}{suffix.replace(' ', '_')}")
        for label, (runtime, file) in chosen.items()
        for suffix in ([""] if file.startswith("fp32") else [f" {bits}" for bits in widths])
    }


def write_models(folder: Path, arguments: argparse.Namespace, bits: str) -> None:
    """The files of one width, and those in full precision."""
    import torch

    from crqat_pipeline.detectors import build_detector
    from crqat_pipeline.export.bias_alignment import align_biases
    from crqat_pipeline.export.onnx import OnnxSpec, write_onnx
    from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized

    torch.manual_seed(0)
    detector = build_detector(arguments.detector, version=arguments.version).eval()
    prepare(
        detector,
        QuantSpec.parse(
            bits,
            pre_activation_bits=8,
            weight_initialization="minmax",
            activation_initialization="minmax",
        ),
    )
    texts_KD = torch.nn.functional.normalize(torch.randn(arguments.prompts, detector.embedding_dim), dim=1)
    side = min(arguments.image_size, 320)
    calibrate(detector, [(torch.rand(1, 3, side, side), texts_KD)], list(detector.parts))
    set_quantized(detector, list(detector.parts))
    align_biases(detector)
    for form in ("fp32", "fast", "spec", "openvino"):
        for suffix, has_embeddings in (("", True), ("_short", False)):
            width = "" if form == "fp32" else f"_{bits}"
            spec = OnnxSpec(form=form, has_embeddings=has_embeddings)
            write_onnx(folder / f"{form}{suffix}{width}.onnx", detector, spec)


def call_of(runtime: str, file: Path, feeds: dict[str, Any], threads: int, row: dict[str, Any]) -> Callable[[], Any]:
    if runtime == "torch":
        import torch

        from crqat_pipeline.detectors import build_detector

        torch.set_num_threads(threads)
        detector = build_detector(row["detector"], version=row["version"]).eval()
        images, texts = (torch.from_numpy(feeds[name]) for name in ("images", "text_embeddings"))

        def run() -> Any:
            with torch.inference_mode():
                return detector(images, texts)

        return run
    if runtime == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, feeds)
    from crqat_pipeline.export.onnx.runtime import compile_openvino

    compiled = compile_openvino(file.read_bytes(), threads)
    return lambda: compiled(feeds)


def measure(row: dict[str, Any]) -> dict[str, float]:
    """In a process of its own."""
    import numpy as np

    rng = np.random.default_rng(0)
    size = row["image_size_px"]
    feeds = {
        "images": rng.random((1, 3, size, size), np.float32),
        "text_embeddings": rng.standard_normal((row["prompts"], row["embedding_dim"]), np.float32),
    }
    before = memory_kb("VmRSS")
    call = call_of(row["runtime"], Path(row["file"]), feeds, row["threads"], row)
    for _ in range(2):
        call()
    cpu, wall = [], []
    for _ in range(row["runs"]):
        start, start_cpu = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
    memory_mb = (memory_kb("VmHWM") - before) / 1024
    return {"cpu_ms": statistics.median(cpu) * 1e3, "wall_ms": min(wall) * 1e3, "memory_mb": memory_mb}


def memory_kb(field: str) -> int:
    """VmRSS: memory now. VmHWM: the most so far (ru_maxrss would also count the parent process)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def in_new_process(row: dict[str, Any]) -> dict[str, float]:
    environment = os.environ | {"OMP_NUM_THREADS": str(row["threads"])}
    command = [sys.executable, "-m", "benchmarks.export_speed", "--measure", json.dumps(row)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = speed_parser(__doc__, image_size_px=640, rounds=3, runs=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--bits", nargs="+", default=["4-4-8"], help="widths of the quantized rows")
    parser.add_argument("--only", nargs="+", default=[""], help="rows that begin so [default: all]")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(json.loads(arguments.measure))))
        return
    from crqat_pipeline.detectors import build_detector

    dim = build_detector(arguments.detector, version=arguments.version).embedding_dim
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = rows_of(arguments.bits, arguments.only)
        for bits in arguments.bits:
            write_models(folder, arguments, bits)
        for threads in arguments.threads:
            found: dict[str, list[dict[str, float]]] = {label: [] for label in rows}
            for _ in range(arguments.rounds):
                for label, (runtime, file) in rows.items():
                    row = {
                        "runtime": runtime,
                        "file": str(folder / f"{file}.onnx"),
                        "detector": arguments.detector,
                        "version": arguments.version,
                        "image_size_px": arguments.image_size,
                        "prompts": arguments.prompts,
                        "embedding_dim": dim,
                        "threads": threads,
                        "runs": arguments.runs,
                    }
                    found[label].append(in_new_process(row))
            sizes_mb = {label: (folder / f"{file}.onnx").stat().st_size / 2**20 for label, (_, file) in rows.items()}
            report(arguments, threads, found, sizes_mb)


def report(
    arguments: argparse.Namespace,
    threads: int,
    found: Mapping[str, list[dict[str, float]]],
    sizes_mb: Mapping[str, float],
) -> None:
    medians = {
        label: {
            key: (min if key == "wall_ms" else statistics.median)(round_[key] for round_ in rounds) for key in rounds[0]
        }
        for label, rounds in found.items()
    }
    clock = "cpu_ms" if threads == 1 else "wall_ms"
    base = medians[BASELINE][clock]
    print(f"\n{setting(arguments, threads)}")
    print(f"{'':<42}{'cpu ms':>9}{'wall ms':>9}{'speed':>8}{'memory MB':>11}{'file MB':>9}")
    for label, values in medians.items():
        print(
            f"{label:<42}{values['cpu_ms']:>9.1f}{values['wall_ms']:>9.1f}{base / values[clock]:>7.2f}x"
            f"{values['memory_mb']:>11.0f}{sizes_mb[label]:>9.1f}"
        )


if __name__ == "__main__":
    main()
