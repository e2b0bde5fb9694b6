"""Quantizers, layers, calibration and cost: everything about integers (floor 1)."""

from crqat_pipeline.quantization.calibration import calibrate
from crqat_pipeline.quantization.code_packing import pack_codes, unpack_codes
from crqat_pipeline.quantization.cost import cost
from crqat_pipeline.quantization.cost_report import CostReport
from crqat_pipeline.quantization.parts import hold_zero_points, quantizer_parameters, set_quantized
from crqat_pipeline.quantization.prepare import prepare
from crqat_pipeline.quantization.spec import QuantSpec
from crqat_pipeline.quantization.summary import PrepareSummary

__all__ = [
    "CostReport",
    "PrepareSummary",
    "QuantSpec",
    "calibrate",
    "cost",
    "hold_zero_points",
    "pack_codes",
    "prepare",
    "quantizer_parameters",
    "set_quantized",
    "unpack_codes",
]
