"""Whether a graph is in the runtime it was made for."""

from __future__ import annotations

import warnings
from pathlib import Path

from crqat_pipeline.export.onnx.form_table import FORMS
from crqat_pipeline.model_files.onnx_facts import OnnxFacts

PRE_ACTIVATION = ".output_quantizer"


def warn_of_runtime(path: Path, facts: OnnxFacts, runtime: str) -> None:
    """Warn if this runtime computes the graph's convolutions in floating point, slower than full precision.

    In onnxruntime a convolution needs a pre-activation quantizer behind it, which a student may not have.
    """
    suited = FORMS[facts.form].fast_in
    is_fused = runtime != "onnxruntime" or any(PRE_ACTIVATION in quantizer for quantizer in facts.taps)
    if not suited or (runtime in suited and is_fused):
        return
    better = [name for name in suited if name != "onnxruntime"]
    warnings.warn(
        f"{path.name} has the form {facts.form}, and {runtime} runs its convolutions in floating point: right, but "
        f"slower than full precision. Use it in {' or '.join(better)}, or export the form auto with --images, which is "
        "fast in onnxruntime and OpenVINO.",
        RuntimeWarning,
        stacklevel=3,
    )
