"""Which form fits a detector: what it was trained with decides."""

from __future__ import annotations

from torch import nn

from crqat_pipeline.export.onnx.form_table import FORMS
from crqat_pipeline.export.onnx.spec import FormName
from crqat_pipeline.export.onnx.supported import has_emitters
from crqat_pipeline.quantization.parts import quantizers

AUTOMATIC = "auto"


def has_pre_activation(detector: nn.Module) -> bool:
    """Whether any pre-activation quantizer of the detector is on."""
    return any(each.is_on for name, each in quantizers(detector) if name.rpartition(".")[2] == "output_quantizer")


def lacks_pre_activation(detector: nn.Module) -> bool:
    """Whether the detector could run on integers in onnxruntime as well if it had pre-activation quantizers."""
    is_quantized = any(quantizer.is_on for _, quantizer in quantizers(detector))
    return is_quantized and has_emitters(detector) and not has_pre_activation(detector)


def chosen_form(detector: nn.Module, wish: FormName) -> str:
    """The row of FORMS for a wish; "auto": fast with pre-activation quantizers, openvino without, fp32 unquantized.

    A quantized detector without emitters gets spec.
    """
    if wish != AUTOMATIC:
        return wish
    if not any(quantizer.is_on for _, quantizer in quantizers(detector)):
        return "fp32"
    if not has_emitters(detector):
        return "spec"
    return "fast" if has_pre_activation(detector) else "openvino"


def check_form(detector: nn.Module, form: str) -> None:
    """Raises ValueError for a form that leaves out quantizers the detector was trained with."""
    row = FORMS[form]
    if row.is_quantized and not row.has_pre_activation and has_pre_activation(detector):
        keeping = ", ".join(name for name, each in FORMS.items() if each.is_quantized and each.has_pre_activation)
        raise ValueError(
            f"The form {form!r} leaves out pre-activation quantizers, and this student was trained with them: the "
            f"graph would not compute the student's integers. Export the form {keeping} or auto."
        )
