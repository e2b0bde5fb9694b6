"""Which forms of ONNX graph a detector can have: known from its code, before anything is trained."""

from __future__ import annotations

from torch import nn

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.export.onnx.form_table import FORMS
from crqat_pipeline.export.onnx.table import EMITTERS
from crqat_pipeline.export.onnx.traced.detector import check_traceable

TRACED_FORMS = ("spec", "fp32")


def has_emitters(detector: nn.Module) -> bool:
    """Whether the detector's class has a function that writes its graph; else it is traced."""
    return any(kind in EMITTERS for kind in type(detector).__mro__)


def supported_forms(detector: OpenVocabularyDetector) -> tuple[str, ...]:
    """Rows of FORMS: all for a class with emitters, TRACED_FORMS for one that can be traced, else none.

    Without emitters the detector is traced, which takes seconds; the meta device will do.
    """
    if has_emitters(detector):
        return tuple(FORMS)
    try:
        check_supported(detector)
    except ValueError:
        return ()
    return TRACED_FORMS


def check_supported(detector: OpenVocabularyDetector, form: str = "auto") -> None:
    """Raises ValueError for a detector that no graph can be written of, or none in this form (a wish of OnnxSpec)."""
    if has_emitters(detector):
        return
    if not detector.is_traceable:
        raise ValueError(
            f"No ONNX graph can be written of {type(detector).__name__}: it has no emitters and cannot be traced. Set "
            "int4_export.onnx to null, or add emitters (docs/formats/onnx.md)."
        )
    if form not in ("auto", *TRACED_FORMS):
        raise ValueError(
            f"A detector without emitters is traced, in the forms {' and '.join(TRACED_FORMS)}; got {form!r} for "
            f"{type(detector).__name__}. Take one of these or auto, or add emitters (docs/formats/onnx.md)."
        )
    check_traceable(detector)
