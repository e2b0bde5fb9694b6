"""Milliseconds of every convolution and linear layer of a detector alone, in onnxruntime: a table for the allocator.

    python benchmarks/layer_latencies.py --detector yolo_world_s --image-size 320 --out latencies.csv
    crqat allocate teacher.safetensors --images photos/ --menu npu --latencies latencies.csv --time-ms 20 --out w.yml

A layer is a graph of its own: float, or with 8-bit input, weight and output between Quantize and Dequantize operators,
which onnxruntime fuses into one integer operator. Weights of 4 bits are computed as 8 there, so their rows have the
time of 8-bit ones. Layers of the same shapes are timed once; medians of single calls. Products of two activations are
left out (the allocator takes no time for them), and so is what lies between layers: the sum is below a detector's time.

Shape letters: B images, C channels, H W pixels, O output channels.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from crqat_pipeline.detectors import build_detector
from crqat_pipeline.quantization import QuantSpec, prepare
from crqat_pipeline.quantization.cost import on_meta
from crqat_pipeline.quantization.layers import QuantConv2d, QuantLinear
from crqat_pipeline.quantization.operation_counter import OperationCounter

WIDTHS = {"none": ("none", "none"), "8": ("8", "8"), "4": ("4", "8")}
"""Row of the table -> bits of weight and activation; the last two are one graph."""
STEP, ZERO = np.float32(0.02), np.uint8(128)


def shapes_of(name: str, image_size_px: int, num_prompts: int) -> dict[str, tuple[Any, tuple[int, ...]]]:
    """Layer -> (module, shape of its input) of one image."""
    detector = on_meta(build_detector(name))
    prepare(detector, QuantSpec.parse("8-8-8", keep_edge_layers=False))
    counter = OperationCounter(detector)
    counter.count(image_size_px, num_prompts)
    modules = detector.named_modules()
    return {
        layer: (module, counter.input_shape[layer])
        for layer, module in modules
        if isinstance(module, QuantConv2d | QuantLinear) and layer in counter.input_shape
    }


def graph_of(module: Any, shape: tuple[int, ...], is_integer: bool) -> bytes:
    """The layer alone; an integer one reads and writes bytes, as it does between others of its kind."""
    generator = np.random.default_rng(0)
    weight = generator.standard_normal(tuple(module.weight.shape)).astype(np.float32)
    is_linear = isinstance(module, QuantLinear)
    if is_linear:
        weight = np.ascontiguousarray(weight.T)
    nodes, stored = [], []
    source, kind = "x", TensorProto.UINT8 if is_integer else TensorProto.FLOAT
    if is_integer:
        axis, count = (1, weight.shape[1]) if is_linear else (0, weight.shape[0])
        stored += [numpy_helper.from_array(STEP, "s"), numpy_helper.from_array(ZERO, "z")]
        codes = generator.integers(-127, 127, weight.shape, dtype=np.int8)
        stored += [
            numpy_helper.from_array(codes, "w8"),
            numpy_helper.from_array(np.full(count, STEP, np.float32), "ws"),
            numpy_helper.from_array(np.zeros(count, np.int8), "wz"),
        ]
        nodes += [
            helper.make_node("DequantizeLinear", ["x", "s", "z"], ["xf"]),
            helper.make_node("DequantizeLinear", ["w8", "ws", "wz"], ["w"], axis=axis),
        ]
        source = "xf"
    else:
        stored.append(numpy_helper.from_array(weight, "w"))
    if is_linear:
        nodes.append(helper.make_node("MatMul", [source, "w"], ["yf"]))
    else:
        attributes = {
            "strides": list(module.stride),
            "pads": [*module.padding, *module.padding],
            "dilations": list(module.dilation),
            "group": module.groups,
        }
        nodes.append(helper.make_node("Conv", [source, "w"], ["yf"], **attributes))
    if is_integer:
        nodes.append(helper.make_node("QuantizeLinear", ["yf", "s", "z"], ["y"]))
    else:
        nodes[-1].output[0] = "y"
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_tensor_value_info("x", kind, list(shape))],
        [helper.make_tensor_value_info("y", kind, None)],
        stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def milliseconds(model: bytes, shape: tuple[int, ...], is_integer: bool, threads: int, calls: int) -> float:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    x = np.zeros(shape, np.uint8 if is_integer else np.float32)
    times = []
    for call in range(calls + 3):
        started = time.perf_counter()
        session.run(None, {"x": x})
        if call >= 3:
            times.append(1e3 * (time.perf_counter() - started))
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", default="yolo_world_s")
    parser.add_argument("--image-size", type=int, default=320, help="pixels")
    parser.add_argument("--prompts", type=int, default=80)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--calls", type=int, default=15, help="timed calls of a layer")
    parser.add_argument("--out", type=Path, required=True, help="CSV for crqat allocate --latencies")
    options = parser.parse_args()
    known: dict[tuple[Any, ...], dict[bool, float]] = {}
    rows, totals = [], {False: 0.0, True: 0.0}
    for layer, (module, shape) in shapes_of(options.detector, options.image_size, options.prompts).items():
        convolution = () if isinstance(module, QuantLinear) else (module.stride, module.groups, module.dilation)
        key = (tuple(module.weight.shape), shape, *convolution)
        if key not in known:
            known[key] = {
                is_integer: milliseconds(
                    graph_of(module, shape, is_integer), shape, is_integer, options.threads, options.calls
                )
                for is_integer in (False, True)
            }
        for name, (weight, activation) in WIDTHS.items():
            rows.append((layer, weight, activation, f"{known[key][name != 'none']:.5f}"))
        for is_integer in totals:
            totals[is_integer] += known[key][is_integer]
    with options.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("layer", "weight_bits", "activation_bits", "milliseconds"))
        writer.writerows(rows)
    float_ms, integer_ms = totals[False], totals[True]
    print(
        f"{len(rows) // len(WIDTHS)} layers, {len(known)} shapes: float {float_ms:.1f} ms, 8 bits {integer_ms:.1f} ms"
    )


if __name__ == "__main__":
    main()
