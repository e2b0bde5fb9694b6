"""Run a graph in onnxruntime or OpenVINO, and ask what became of its convolutions.

RUNTIMES: name -> how to open a graph in it. Both run on the CPU in float32 where they do not run integers.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from crqat_pipeline.export.onnx.requirements import require_onnx
from crqat_pipeline.runtime.lookup import look_up

OPENVINO_SETTINGS: Mapping[str, Any] = MappingProxyType(
    {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
)
"""What the numbers of the student need: on its own, OpenVINO computes the floating-point parts in bfloat16 where the
CPU has it (scores move by up to 0.5, whatever the length of the texts), and rounds activations before 4-bit weights."""

Feeds = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Execution:
    """outputs: arrays by name. integer_convolutions, float_convolutions: how many ran on integers, and how many not."""

    outputs: Mapping[str, np.ndarray]
    integer_convolutions: int
    float_convolutions: int


class Opened(Protocol):
    """A model made ready once: inputs by name (those it does not have are ignored) to its outputs and the census."""

    def __call__(self, feeds: Feeds) -> Execution: ...


def open_onnxruntime(model: bytes, outputs: Sequence[str], num_threads: int) -> Opened:
    """With onnxruntime's default optimizations; the census reads the optimized graph. ValueError if not installed."""
    require_onnx()
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = num_threads
    with tempfile.TemporaryDirectory() as folder:
        optimized = Path(folder) / "optimized.onnx"
        options.optimized_model_filepath = str(optimized)
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        counts = Counter(node.op_type for node in onnx.load(optimized, load_external_data=False).graph.node)
    integers, floats = counts["QLinearConv"], counts["Conv"] + counts["FusedConv"]

    def run(feeds: Feeds) -> Execution:
        values = session.run(list(outputs), {entry.name: feeds[entry.name] for entry in session.get_inputs()})
        return Execution(dict(zip(outputs, values, strict=True)), integers, floats)

    return run


def open_openvino(model: bytes, outputs: Sequence[str], num_threads: int) -> Opened:
    """On the CPU plug-in, float parts in float32 (it would choose bfloat16 where the CPU has it)."""
    compiled = compile_openvino(model, num_threads)

    def run(feeds: Feeds) -> Execution:
        results = compiled({port.any_name: feeds[port.any_name] for port in compiled.inputs})
        precisions = Counter(
            str(node.get_rt_info()["runtimePrecision"].astype(str))
            for node in compiled.get_runtime_model().get_ops()
            if str(node.get_rt_info()["layerType"].astype(str)) == "Convolution"
        )
        integers = precisions["u8"] + precisions["i8"]
        values = {name: np.array(results[compiled.output(name)], copy=True) for name in outputs}
        return Execution(values, integers, sum(precisions.values()) - integers)

    return run


def compile_openvino(model: bytes, num_threads: int) -> Any:
    """A compiled OpenVINO model. Raises ValueError if OpenVINO is not installed."""
    try:
        import openvino
    except ImportError as error:
        raise ValueError(
            "OpenVINO is not installed. Install the extra: pip install 'crqat-pipeline[openvino]'."
        ) from error
    settings = {**OPENVINO_SETTINGS, "INFERENCE_NUM_THREADS": num_threads, "NUM_STREAMS": 1}
    core = openvino.Core()
    return core.compile_model(core.read_model(model), "CPU", settings)


RUNTIMES: Mapping[str, Callable[[bytes, Sequence[str], int], Opened]] = MappingProxyType(
    {"onnxruntime": open_onnxruntime, "openvino": open_openvino}
)


def runtime_for(form: str) -> str:
    """The runtime that a form was made for; onnxruntime where OpenVINO is not installed."""
    has_openvino = importlib.util.find_spec("openvino") is not None
    return "openvino" if form == "openvino" and has_openvino else "onnxruntime"


def open_model(model: bytes, outputs: Sequence[str], runtime: str = "onnxruntime", num_threads: int = 1) -> Opened:
    """The model in a runtime, ready for any number of inputs. Raises ValueError for a runtime that is not there."""
    return look_up(RUNTIMES, runtime, "runtime")(model, outputs, num_threads)
