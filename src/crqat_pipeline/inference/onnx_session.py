"""An exported graph in a runtime: outputs by name.

SESSIONS: runtime -> how to open a graph in it: the path of a file, or its bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from crqat_pipeline.export.onnx.runtime import OPENVINO_SETTINGS, runtime_for
from crqat_pipeline.runtime.lookup import look_up

Run: TypeAlias = Callable[[Sequence[str], Mapping[str, np.ndarray]], list[np.ndarray]]
AUTOMATIC = "auto"
CRASHING = frozenset({("openvino", "spec")})  # OpenVINO 2026.4 with UINT4 tensors


def open_session(path: Path, runtime: str, form: str, num_threads: int | None, content: bytes | None = None) -> Run:
    """A function of output names and inputs. runtime "auto": the one that the form was made for, if it is installed.

    content: the graph where it is to be another than that of the file, whose name stands in messages.

    Raises ValueError if the runtime is not installed, cannot open the file, or would crash on its form.
    """
    if runtime == AUTOMATIC:
        runtime = runtime_for(form)
    if (runtime, form) in CRASHING:
        raise ValueError(
            f"{runtime} ends the whole process on graphs of form {form!r} (corrupted memory); got {path}. Use "
            "runtime='onnxruntime', or export the form 'openvino'."
        )
    open_file = look_up(SESSIONS, runtime, "runtime")
    try:
        return open_file(str(path) if content is None else content, num_threads)
    except ImportError as error:
        raise ValueError(f"ONNX models need {runtime}. Install it: pip install {runtime}.") from error
    except Exception as error:  # the runtimes raise classes of their own, without a common name
        raise ValueError(f"{runtime} cannot open {path}: {error}. Copy or export the model again.") from error


def _onnxruntime(graph: str | bytes, num_threads: int | None) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if num_threads is not None:
        options.intra_op_num_threads = num_threads
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda names, feeds: session.run(list(names), dict(feeds))


def _openvino(graph: str | bytes, num_threads: int | None) -> Run:
    import openvino

    settings = dict(OPENVINO_SETTINGS)
    if num_threads is not None:
        settings["INFERENCE_NUM_THREADS"] = num_threads
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(graph), "CPU", settings)

    def run(names: Sequence[str], feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        results = compiled(dict(feeds))
        return [np.array(results[compiled.output(name)]) for name in names]

    return run


SESSIONS: Mapping[str, Callable[[str | bytes, int | None], Run]] = MappingProxyType(
    {"onnxruntime": _onnxruntime, "openvino": _openvino}
)
