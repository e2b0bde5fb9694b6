"""Which forms of ONNX graph a detector can have: known from its code, before anything is trained."""

from __future__ import annotations

from torch import nn

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.export.onnx.form_table import FORMS
from crqat_pipeline.export.onnx.spec import OnnxSpec
from crqat_pipeline.export.onnx.table import EMITTERS
from crqat_pipeline.export.onnx.traced.detector import check_traceable
from crqat_pipeline.export.onnx.traced.tracing import NUM_PROMPTS, Sizes, smallest_px

TRACED_FORMS = ("spec", "fp32")


def has_emitters(detector: nn.Module) -> bool:
    """Whether the detector's class has a function that writes its graph; else it is traced."""
    return any(kind in EMITTERS for kind in type(detector).__mro__)


def supported_forms(detector: OpenVocabularyDetector) -> tuple[str, ...]:
    """Rows of FORMS: all for a class with emitters, TRACED_FORMS for one that can be traced, else none.

    Without emitters the detector is traced with small fixed sizes, which takes seconds; the meta device will do.
    """
    if has_emitters(detector):
        return tuple(FORMS)
    try:
        check_supported(detector, OnnxSpec(batch_size=2, image_size_px=smallest_px(detector.size_divisor)))
    except ValueError:
        return ()
    return TRACED_FORMS


def check_supported(detector: OpenVocabularyDetector, spec: OnnxSpec) -> None:
    """Raises ValueError for a detector that no graph can be written of, or none of this form or these sizes.

    A detector without emitters is traced for it.
    """
    check_declared(detector, spec)
    if not has_emitters(detector):
        num_prompts = NUM_PROMPTS if spec.has_fixed_vocabulary else None
        check_traceable(detector, Sizes(spec.batch_size, spec.image_size_px, num_prompts))


def check_declared(detector: OpenVocabularyDetector, spec: OnnxSpec) -> None:
    """The part of `check_supported` that the detector's own words answer at once."""
    if has_emitters(detector):
        return
    name = type(detector).__name__
    if not detector.is_traceable:
        raise ValueError(
            f"No ONNX graph can be written of {name}: it has no emitters and cannot be traced. Set int4_export.onnx to "
            "null, or add emitters (docs/formats/onnx.md)."
        )
    if spec.form not in ("auto", *TRACED_FORMS):
        raise ValueError(
            f"A detector without emitters is traced, in the forms {' and '.join(TRACED_FORMS)}; got {spec.form!r} for "
            f"{name}. Take one of these or auto, or add emitters (docs/formats/onnx.md)."
        )
    absent = [option for option in detector.fixed_in_graphs if getattr(spec, option) is None]
    if absent:
        raise ValueError(
            f"A graph of {name} is made for one value of {' and '.join(detector.fixed_in_graphs)}; got no "
            f"{', no '.join(absent)}. Set it under int4_export.onnx, or export with --static."
        )
