"""Time of the LiteRT files against floating point, in the same interpreter (XNNPACK) and run.

python benchmarks/litert_speed.py --image-size 320

Needs the extra litert. Weights are random, which changes no time; quantizers are calibrated on noise. Files run in
turn, round after round; median processor time of one picture on one thread.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.export.bias_alignment import align_biases
from crqat_pipeline.export.litert.graph import build_litert
from crqat_pipeline.export.litert.runtime import open_litert
from crqat_pipeline.export.vendor import VendorSpec
from crqat_pipeline.export.vendor.graph import build_vendor_graph
from crqat_pipeline.export.vendor.reading import GraphReading
from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized
from crqat_pipeline.structures.vocabulary import TextBank

ROWS = {
    "fp32": (None, False),
    "8-8-8": ("8-8-8", False),
    "4-8-8": ("4-8-8", False),
    "4-8-8, --int4-weights": ("4-8-8", True),
}
"""Row -> widths of the student, and whether weights of four bits are stored as such."""


def file_of(bits: str | None, has_int4_weights: bool, arguments: argparse.Namespace) -> bytes:
    torch.manual_seed(0)
    detector = build_detector(arguments.detector, version=2).eval()
    texts_KD = torch.nn.functional.normalize(torch.randn(arguments.prompts, detector.embedding_dim), dim=1)
    if bits is not None:
        rules = {"weight_initialization": "minmax", "activation_initialization": "minmax"}
        prepare(detector, QuantSpec.parse(bits, pre_activation_bits=8, **rules))
        calibrate(detector, [(torch.rand(1, 3, 320, 320), texts_KD)], list(detector.parts))
        set_quantized(detector, list(detector.parts))
        align_biases(detector, is_coarse=True)
    names = tuple(f"prompt {index}" for index in range(arguments.prompts))
    bank = TextBank(names, texts_KD, "random", is_normalized=True)
    spec = VendorSpec(opset=18, image_size_px=(arguments.image_size, arguments.image_size))
    reading = GraphReading(build_vendor_graph(detector, spec, bank))
    return build_litert(reading, {}, has_int4_weights=has_int4_weights).content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", default="yolo_world_s")
    parser.add_argument("--image-size", type=int, default=640)
    parser.add_argument("--prompts", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=6)
    arguments = parser.parse_args()
    files = {label: file_of(bits, is_small, arguments) for label, (bits, is_small) in ROWS.items()}
    calls = {label: open_litert(content) for label, content in files.items()}
    images_B3HW = np.random.default_rng(0).random((1, 3, arguments.image_size, arguments.image_size), np.float32)
    times: dict[str, list[float]] = {label: [] for label in ROWS}
    for _ in range(arguments.rounds):
        for label, call in calls.items():
            call(images_B3HW)
            start = time.process_time()
            call(images_B3HW)
            times[label].append(1e3 * (time.process_time() - start))
    print(f"{arguments.detector} v2, {arguments.image_size} px, {arguments.prompts} prompts, one thread")
    base = statistics.median(times["fp32"])
    for label, found in times.items():
        median = statistics.median(found)
        print(f"{label:<24}{len(files[label]) / 2**20:>8.1f} MB{median:>9.1f} ms{base / median:>7.2f}x")


if __name__ == "__main__":
    main()
