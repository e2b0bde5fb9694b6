"""An exported graph in a runtime: outputs by name.

SESSIONS: runtime -> how to open a file in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from crqat_pipeline.export.onnx.runtime import runtime_for
from crqat_pipeline.runtime.lookup import look_up

Run: TypeAlias = Callable[[Sequence[str], Mapping[str, np.ndarray]], list[np.ndarray]]
AUTOMATIC = "auto"


def open_session(path: Path, runtime: str, form: str, num_threads: int | None) -> Run:
    """A function of output names and inputs. runtime "auto": the one that the form was made for, if it is installed.

    Raises ValueError if the runtime is not installed or cannot open the file.
    """
    if runtime == AUTOMATIC:
        runtime = runtime_for(form)
    open_file = look_up(SESSIONS, runtime, "runtime")
    try:
        return open_file(path, num_threads)
    except ImportError as error:
        raise ValueError(f"ONNX models need {runtime}. Install it: pip install {runtime}.") from error
    except Exception as error:  # the runtimes raise classes of their own, without a common name
        raise ValueError(f"{runtime} cannot open {path}: {error}. Copy or export the model again.") from error


def _onnxruntime(path: Path, num_threads: int | None) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if num_threads is not None:
        options.intra_op_num_threads = num_threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda names, feeds: session.run(list(names), dict(feeds))


def _openvino(path: Path, num_threads: int | None) -> Run:
    """Float parts in float32, activations as they were trained: OpenVINO would round both further by itself."""
    import openvino

    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
    if num_threads is not None:
        settings["INFERENCE_NUM_THREADS"] = num_threads
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(str(path)), "CPU", settings)

    def run(names: Sequence[str], feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        results = compiled(dict(feeds))
        return [np.array(results[compiled.output(name)]) for name in names]

    return run


SESSIONS: Mapping[str, Callable[[Path, int | None], Run]] = MappingProxyType(
    {"onnxruntime": _onnxruntime, "openvino": _openvino}
)
