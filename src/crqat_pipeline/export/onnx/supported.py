"""Which forms of ONNX graph a detector can have: known from its class, before anything is trained."""

from __future__ import annotations

from torch import nn

from crqat_pipeline.export.onnx.form import FORMS
from crqat_pipeline.export.onnx.table import EMITTERS


def supported_forms(detector: nn.Module) -> tuple[str, ...]:
    """Rows of FORMS; none for a detector whose class no emitter writes."""
    return tuple(FORMS) if any(kind in EMITTERS for kind in type(detector).__mro__) else ()


def check_supported(detector: nn.Module) -> None:
    """Raises ValueError for a detector that no graph can be written of, with what there is instead."""
    if not supported_forms(detector):
        written = ", ".join(sorted(kind.__name__ for kind in EMITTERS if kind.__module__.endswith(".detector")))
        raise ValueError(
            f"No ONNX graph can be written of {type(detector).__name__}: there are emitters for {written}. Set "
            "int4_export.onnx to null and use the packed file, or add emitters (docs/formats/onnx.md)."
        )
