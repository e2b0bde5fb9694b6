"""Time and memory of one W4A4 training step: every kernel of this project, and Brevitas, against full precision.

    python benchmarks/quantizer_speed.py                                  # YOLO-World-S, 320 px, batch 4, CPU
    python benchmarks/quantizer_speed.py --threads 1 --steps 7 --json out.json
    python benchmarks/quantizer_speed.py --device cuda --autocast --image-size 640 --batch 16

A step is zero_grad, forward, the detector's own loss, backward and AdamW on all parameters, on the same random images,
boxes and text for every row. Every row is a fresh process, so that peak memory is its own, and rounds go through all
rows in turn, so that other work on the machine falls on all of them. cpu: median processor time of a step, which other
processes hardly touch; wall: the fastest step; ratio: against full precision (processor time on a CPU, wall time on
CUDA). memory: peak of the process (CPU, libraries included; its growth since torch was loaded in brackets) or of
the device's allocator (CUDA). Brevitas quantizes the same convolutions and linears, per channel and per tensor, with
learned scales, and attention operands per tensor. Linux only.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

ROWS = ("full precision", "auto", "triton", "eager", "compiled", "native", "composite", "brevitas")
BASELINE = "full precision"
PARTS = ("backbone", "neck", "head")
WARM_UP_STEPS = 3


def build(row: str, options: argparse.Namespace) -> tuple[Any, Any]:
    """(detector, batch) of one row on its device, calibrated and switched on."""
    import torch

    from crqat_pipeline.detectors import build_detector
    from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized
    from crqat_pipeline.structures.batch import DetectionBatch, ImageTargets

    torch.manual_seed(0)
    detector = build_detector(options.detector, version=options.version)
    side, count = float(options.image_size), options.batch
    targets = []
    for _ in range(count):
        corners_M22 = torch.rand(8, 2, 2).sort(dim=1).values * side
        targets.append(ImageTargets(corners_M22.flatten(1), torch.randint(options.prompts, (8,))))
    texts_KD = torch.nn.functional.normalize(torch.randn(options.prompts, detector.embedding_dim), dim=1)
    images_B3HW = torch.rand(count, 3, options.image_size, options.image_size)
    batch = DetectionBatch(images_B3HW, tuple(targets), texts_KD, tuple(range(count))).to(options.device)
    detector.to(options.device)
    if row == "brevitas":
        swap_brevitas(detector)
    elif row != BASELINE:
        prepare(detector, QuantSpec.parse("4-4-8", kernel=row, activation_initialization="minmax"))
        calibrate(detector, [(batch.images_B3HW, batch.text_embeddings)], PARTS)
        set_quantized(detector, PARTS)
    return detector.train(), batch


def swap_brevitas(detector: Any) -> None:
    """Put Brevitas layers where `prepare` would put this project's."""
    import brevitas.nn as qnn
    from brevitas.quant import Int8WeightPerChannelFloat, ShiftedUint8ActPerTensorFloat
    from torch import nn

    from crqat_pipeline.quantization.full_precision import kept_patterns, reason_to_keep
    from crqat_pipeline.quantization.spec import QuantSpec
    from crqat_pipeline.structures.quantization_contract import product_operands_of

    spec = QuantSpec.parse("4-4-8")
    activation = {"input_quant": ShiftedUint8ActPerTensorFloat, "input_bit_width": 4, "input_collect_stats_steps": 1}
    weight = {
        "weight_quant": Int8WeightPerChannelFloat,
        "weight_bit_width": 4,
        "weight_scaling_impl_type": "parameter_from_stats",
    }
    for name, module in list(detector.named_modules()):
        if reason_to_keep(detector, spec.keep_edge_layers, kept_patterns(detector, spec), name) is not None:
            continue
        parent_name, _, child = name.rpartition(".")
        has_bias = getattr(module, "bias", None) is not None
        if type(module) is nn.Conv2d:
            shape = (module.in_channels, module.out_channels, module.kernel_size, module.stride, module.padding)
            new: Any = qnn.QuantConv2d(*shape, groups=module.groups, bias=has_bias, **weight, **activation)
        elif type(module) is nn.Linear:
            new = qnn.QuantLinear(module.in_features, module.out_features, bias=has_bias, **weight, **activation)
        elif (operands := product_operands_of(module)) is not None and operands.kind == "attention":
            for operand in operands.head_axis:
                quantizer = qnn.QuantIdentity(
                    act_quant=ShiftedUint8ActPerTensorFloat, bit_width=8, collect_stats_steps=1
                )
                setattr(module, operand, quantizer.to(next(detector.parameters()).device))
            continue
        else:
            continue
        new.load_state_dict(module.state_dict(), strict=False)
        setattr(detector.get_submodule(parent_name), child, new.to(module.weight.device))


def train_step(detector: Any, batch: Any, optimizer: Any, options: argparse.Namespace) -> Callable[[], None]:
    import torch

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(options.device, torch.bfloat16, enabled=options.autocast):
            output = detector(batch.images_B3HW, batch.text_embeddings)
        sum(detector.loss(output, batch.targets).values()).backward()
        optimizer.step()
        if options.device == "cuda":
            torch.cuda.synchronize()

    return step


def serve(row: str, options: argparse.Namespace) -> None:
    """Child process: after the warm-up, one step for every line on stdin; answers with JSON lines."""
    import torch

    if options.threads:
        torch.set_num_threads(options.threads)
    before_mb = peak_mb("cpu") if options.device == "cpu" else 0.0
    detector, batch = build(row, options)
    optimizer = torch.optim.AdamW(detector.parameters(), lr=1e-5, fused=True)  # as in training
    step = train_step(detector, batch, optimizer, options)
    started = time.perf_counter()
    for _ in range(WARM_UP_STEPS):
        step()
    if options.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    print(json.dumps({"warm_up_s": time.perf_counter() - started}), flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        step()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak = peak_mb(options.device)
        print(json.dumps({"wall_s": wall, "cpu_s": cpu, "peak_mb": peak, "growth_mb": peak - before_mb}), flush=True)


def peak_mb(device: str) -> float:
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(rows: list[str], options: argparse.Namespace, arguments: list[str]) -> dict[str, dict[str, Any]]:
    """Start one child per row, then go round: one step of each, `steps` times."""
    children, figures = {}, {}
    for row in rows:
        command = [sys.executable, __file__, *arguments, "--serve", row]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        first = child.stdout.readline() if child.stdout else ""
        if not first:
            print(f"{row}: did not start, see above")
            continue
        children[row] = child
        figures[row] = {**json.loads(first), "steps": []}
    for _ in range(options.steps):
        for row, child in children.items():
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write("step\n")
            child.stdin.flush()
            figures[row]["steps"].append(json.loads(child.stdout.readline()))
    for child in children.values():
        child.communicate()
    return {row: summary(figure) for row, figure in figures.items()}


def summary(figure: dict[str, Any]) -> dict[str, Any]:
    steps = figure["steps"]
    return {
        "cpu_s": statistics.median(step["cpu_s"] for step in steps),
        "wall_s": min(step["wall_s"] for step in steps),
        "peak_mb": max(step["peak_mb"] for step in steps),
        "growth_mb": max(step["growth_mb"] for step in steps),
        "warm_up_s": figure["warm_up_s"],
    }


def show(results: dict[str, dict[str, Any]], clock: str) -> None:
    print(f"{'kernel':<16}{'cpu ms':>9}{'wall ms':>9}{'ratio':>7}{'peak MB':>14}{'ratio':>7}{'warm-up s':>11}")
    base = results.get(BASELINE)
    for row, figure in results.items():
        ratio = f"{figure[clock] / base[clock]:.2f}" if base else "-"
        memory_ratio = f"{figure['growth_mb'] / base['growth_mb']:.2f}" if base else "-"
        memory = f"{figure['peak_mb']:.0f} ({figure['growth_mb']:.0f})"
        times = f"{figure['cpu_s'] * 1e3:>9.1f}{figure['wall_s'] * 1e3:>9.1f}"
        print(f"{row:<16}{times}{ratio:>7}{memory:>14}{memory_ratio:>7}{figure['warm_up_s']:>11.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", default="yolo_world_s")
    parser.add_argument("--version", type=int, default=2)
    parser.add_argument("--image-size", type=int, default=320, help="pixels")
    parser.add_argument("--batch", type=int, default=4, help="images")
    parser.add_argument("--prompts", type=int, default=80)
    parser.add_argument("--steps", type=int, default=10, help="timed steps per row")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: PyTorch's choice")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--autocast", action="store_true", help="bfloat16 autocast")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    parser.add_argument("--json", help="also write the figures to this file")
    parser.add_argument("--serve", choices=ROWS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options)
        return
    results = measure(options.rows, options, sys.argv[1:])
    show(results, "cpu_s" if options.device == "cpu" else "wall_s")
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"options": vars(options), "results": results}, file, indent=2)


if __name__ == "__main__":
    main()
