"""The exported graph under the providers of onnxruntime: answers against the CPU's, milliseconds per image.

    python benchmarks/gpu/graph_providers.py --device cuda      # onnxruntime-gpu; TensorRT where it is installed

A packed detector with random weights is exported in this process; providers that are not installed are named as such.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

WANTED = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"),
}


def answers(path: Path, provider: str, options: argparse.Namespace) -> tuple[list[np.ndarray[Any, Any]], float]:
    """Outputs on fixed noise, and the median milliseconds of a call."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=[provider])
    generator = np.random.default_rng(0)
    side, embedding_dim = options.image_size, session.get_inputs()[1].shape[-1]
    feed = {
        "images": generator.random((1, 3, side, side), np.float32),
        "text_embeddings": generator.standard_normal((options.prompts, embedding_dim), np.float32),
    }
    outputs = session.run(None, feed)
    times = []
    for _ in range(options.calls):
        start = time.perf_counter()
        session.run(None, feed)
        times.append(1000 * (time.perf_counter() - start))
    return outputs, statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--graph", type=Path, help="an exported .onnx; without it one is made")
    parser.add_argument("--detector", default="yolo_world_open_shapes")
    parser.add_argument("--image-size", type=int, default=128, help="pixels")
    parser.add_argument("--prompts", type=int, default=12)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = options.graph or exported(Path(folder), options)
        installed = onnxruntime.get_available_providers()
        rows: dict[str, Any] = {}
        reference = None
        for provider in WANTED[options.device]:
            if provider not in installed:
                rows[provider] = "not installed"
                continue
            outputs, milliseconds = answers(path, provider, options)
            reference = reference or outputs
            difference = max(float(np.abs(a - b).max()) for a, b in zip(outputs, reference, strict=True) if a.size)
            rows[provider] = {"ms": milliseconds, "largest_difference": difference}
    for provider, row in rows.items():
        said = row if isinstance(row, str) else f"{row['ms']:.2f} ms, {row['largest_difference']:.1e}"
        print(f"{provider:<28}{said}")
    if options.json:
        Path(options.json).write_text(json.dumps({"rows": rows}, indent=2), encoding="utf-8")


def exported(folder: Path, options: argparse.Namespace) -> Path:
    """A graph of integers, calibrated on noise."""
    import torch

    from crqat_pipeline.detectors import build_detector
    from crqat_pipeline.export.bias_alignment import align_biases
    from crqat_pipeline.export.onnx import OnnxSpec, write_onnx
    from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized

    torch.manual_seed(0)
    detector = build_detector(options.detector, version=2).eval()
    prepare(detector, QuantSpec.parse("4-4-8", pre_activation_bits=8, activation_initialization="minmax"))
    texts_KD = torch.nn.functional.normalize(torch.randn(options.prompts, detector.embedding_dim), dim=1)
    calibrate(detector, [(torch.rand(1, 3, options.image_size, options.image_size), texts_KD)], list(detector.parts))
    set_quantized(detector, list(detector.parts))
    align_biases(detector)
    path = folder / "graph.onnx"
    write_onnx(path, detector, OnnxSpec(form="fast"))
    return path


if __name__ == "__main__":
    main()
