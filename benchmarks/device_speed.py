"""Time of LiteRT files and ncnn networks against floating point, in the same runtime and run.

    python -m benchmarks.device_speed --runtime litert --image-size 320
    python -m benchmarks.device_speed --runtime ncnn --image-size 320

Needs the extra of that name. Weights are random, which changes no time; quantizers are calibrated on noise. Rows run in
turn, round after round; median processor time of one picture on one thread.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
from benchmarks.speed_setting import setting, speed_parser

from crqat_pipeline.detectors import OpenVocabularyDetector, build_detector
from crqat_pipeline.export.bias_alignment import align_biases
from crqat_pipeline.export.vendor import VendorSpec
from crqat_pipeline.export.vendor.graph import build_vendor_graph
from crqat_pipeline.export.vendor.reading import GraphReading
from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized
from crqat_pipeline.structures.vocabulary import TextBank

Call = Callable[[np.ndarray], Mapping[str, np.ndarray]]


def litert(bits: str | None, arguments: argparse.Namespace, *, has_int4_weights: bool = False) -> tuple[int, Call]:
    """Bytes of the file, and the file opened."""
    from crqat_pipeline.export.litert.graph import build_litert
    from crqat_pipeline.export.litert.runtime import open_litert

    reading = reading_of(bits, 8, arguments)
    content = build_litert(reading, {}, has_int4_weights=has_int4_weights).content
    return len(content), open_litert(content)


def ncnn(bits: str | None, arguments: argparse.Namespace) -> tuple[int, Call]:
    """Bytes of the network, and the network opened."""
    from crqat_pipeline.export.ncnn.graph import build_ncnn
    from crqat_pipeline.export.ncnn.narrowing import narrowed
    from crqat_pipeline.export.ncnn.runtime import open_ncnn

    files = build_ncnn(reading_of(bits, None, arguments, lambda detector: narrowed(detector).student)).files
    return len(files.text) + len(files.stored), open_ncnn(*files)


RUNTIMES: Mapping[str, Mapping[str, Callable[[argparse.Namespace], tuple[int, Call]]]] = MappingProxyType(
    {
        "litert": {
            "fp32": lambda arguments: litert(None, arguments),
            "8-8-8": lambda arguments: litert("8-8-8", arguments),
            "4-8-8": lambda arguments: litert("4-8-8", arguments),
            "4-8-8, --int4-weights": lambda arguments: litert("4-8-8", arguments, has_int4_weights=True),
        },
        "ncnn": {
            "fp32": lambda arguments: ncnn(None, arguments),
            "8-8-8": lambda arguments: ncnn("8-8-8", arguments),
            "4-8-8": lambda arguments: ncnn("4-8-8", arguments),
            "4-4-8": lambda arguments: ncnn("4-4-8", arguments),
        },
    }
)
"""Runtime -> its rows, the first one what the others are compared with."""


def reading_of(
    bits: str | None,
    pre_activation_bits: int | None,
    arguments: argparse.Namespace,
    changed: Callable[..., OpenVocabularyDetector] = lambda detector: detector,
) -> GraphReading:
    """The float graph of a student with random weights; None bits: of a detector in full precision."""
    torch.manual_seed(0)
    detector = build_detector(arguments.detector, version=arguments.version).eval()
    texts_KD = torch.nn.functional.normalize(torch.randn(arguments.prompts, detector.embedding_dim), dim=1)
    if bits is not None:
        rules = {"weight_initialization": "minmax", "activation_initialization": "minmax"}
        prepare(detector, QuantSpec.parse(bits, pre_activation_bits=pre_activation_bits, **rules))
        calibrate(detector, [(torch.rand(1, 3, 320, 320), texts_KD)], list(detector.parts))
        set_quantized(detector, list(detector.parts))
        align_biases(detector, is_coarse=True)
        detector = changed(detector)
    names = tuple(f"prompt {index}" for index in range(arguments.prompts))
    bank = TextBank(names, texts_KD, "random", is_normalized=True)
    spec = VendorSpec(opset=18, image_size_px=(arguments.image_size, arguments.image_size))
    return GraphReading(build_vendor_graph(detector, spec, bank))


def main() -> None:
    parser = speed_parser(__doc__, image_size_px=640, rounds=6, runs=1)
    parser.add_argument("--runtime", choices=list(RUNTIMES), required=True)
    arguments = parser.parse_args()
    opened = {label: make(arguments) for label, make in RUNTIMES[arguments.runtime].items()}
    images_B3HW = np.random.default_rng(0).random((1, 3, arguments.image_size, arguments.image_size), np.float32)
    times: dict[str, list[float]] = {label: [] for label in opened}
    for _ in range(arguments.rounds):
        for label, (_, call) in opened.items():
            call(images_B3HW)
            for _ in range(arguments.runs):
                start = time.process_time()
                call(images_B3HW)
                times[label].append(1e3 * (time.process_time() - start))
    print(f"{setting(arguments, 1)}, {arguments.runtime}")
    base = statistics.median(next(iter(times.values())))
    for label, found in times.items():
        median = statistics.median(found)
        print(f"{label:<24}{opened[label][0] / 2**20:>8.1f} MB{median:>9.1f} ms{base / median:>7.2f}x")


if __name__ == "__main__":
    main()
