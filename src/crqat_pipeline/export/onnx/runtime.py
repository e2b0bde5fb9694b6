"""Run a graph in onnxruntime or OpenVINO, and ask what became of its convolutions.

RUNTIMES: name -> runner. Both run on the CPU in float32 where they do not run integers.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from crqat_pipeline.runtime.lookup import look_up

Feeds = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Execution:
    """outputs: arrays by name. integer_convolutions, float_convolutions: how many ran on integers, and how many not."""

    outputs: Mapping[str, np.ndarray]
    integer_convolutions: int
    float_convolutions: int


def run_onnxruntime(model: bytes, feeds: Feeds, outputs: Sequence[str], num_threads: int) -> Execution:
    """With onnxruntime's default optimizations; the census reads the optimized graph."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = num_threads
    with tempfile.TemporaryDirectory() as folder:
        optimized = Path(folder) / "optimized.onnx"
        options.optimized_model_filepath = str(optimized)
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        values = session.run(list(outputs), {entry.name: feeds[entry.name] for entry in session.get_inputs()})
        counts = Counter(node.op_type for node in onnx.load(optimized, load_external_data=False).graph.node)
    return Execution(
        dict(zip(outputs, values, strict=True)), counts["QLinearConv"], counts["Conv"] + counts["FusedConv"]
    )


def run_openvino(model: bytes, feeds: Feeds, outputs: Sequence[str], num_threads: int) -> Execution:
    """On the CPU plug-in, float parts in float32 (it would choose bfloat16 where the CPU has it)."""
    compiled = compile_openvino(model, num_threads)
    results = compiled({port.any_name: feeds[port.any_name] for port in compiled.inputs})
    precisions = Counter(
        str(node.get_rt_info()["runtimePrecision"].astype(str))
        for node in compiled.get_runtime_model().get_ops()
        if str(node.get_rt_info()["layerType"].astype(str)) == "Convolution"
    )
    integers = precisions["u8"] + precisions["i8"]
    values = {name: np.array(results[compiled.output(name)], copy=True) for name in outputs}
    return Execution(values, integers, sum(precisions.values()) - integers)


def compile_openvino(model: bytes, num_threads: int) -> Any:
    """A compiled OpenVINO model. Raises ValueError if OpenVINO is not installed."""
    try:
        import openvino
    except ImportError as error:
        raise ValueError("OpenVINO is not installed. Install it: pip install openvino.") from error
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": num_threads,
        "NUM_STREAMS": 1,
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
    }
    core = openvino.Core()
    return core.compile_model(core.read_model(model), "CPU", settings)


RUNTIMES: Mapping[str, Callable[[bytes, Feeds, Sequence[str], int], Execution]] = MappingProxyType(
    {"onnxruntime": run_onnxruntime, "openvino": run_openvino}
)


def run_model(
    model: bytes, feeds: Feeds, outputs: Sequence[str], runtime: str = "onnxruntime", num_threads: int = 1
) -> Execution:
    """Outputs by name, and the census of convolutions."""
    return look_up(RUNTIMES, runtime, "runtime")(model, feeds, outputs, num_threads)
