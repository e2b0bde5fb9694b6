"""The ways a quantized detector can be written as a graph.

FORMS: name -> what its graphs look like and which runtime they are for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Form:
    """is_quantized: False leaves every quantizer out (the full-precision network, for comparison).

    has_byte_activations: codes travel as uint8 with a Clip to their bits, which integer kernels understand; else
    as UINT4, the plain statement of the numerics. is_symmetric: int8 with zero point 0 for weights and activations, a
    float Clip before. has_pre_activation: keep the quantizer before the activation function. uses_contrib_ops: may use
    onnxruntime's own operators. is_ranged: floats clipped to the ends of their grid and rounded by whoever reads the
    ranges beside the graph; attention operands, which have a range per head, stay as they are. fast_in: runtimes that
    compute on its integers; empty where none is meant to. opset: what it is written in; least_opset: the oldest that it
    can be written in.
    """

    purpose: str
    is_quantized: bool = True
    has_byte_activations: bool = True
    has_pre_activation: bool = True
    is_symmetric: bool = False
    uses_contrib_ops: bool = False
    is_ranged: bool = False
    fast_in: tuple[str, ...] = ()
    opset: int = 21
    least_opset: int = 18


FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "fast": Form(
            "onnxruntime and OpenVINO: int4 weights in the file, convolutions fused to integer kernels",
            uses_contrib_ops=True,
            fast_in=("onnxruntime", "openvino"),
        ),
        "spec": Form(
            "the reference of the numerics for conversion tools; runs in floating point",
            has_byte_activations=False,
            least_opset=21,
        ),
        "openvino": Form(
            "OpenVINO alone: as fast, without the pre-activation quantizer; onnxruntime runs it slower than fp32",
            has_pre_activation=False,
            fast_in=("openvino",),
        ),
        "tensorrt": Form(
            "TensorRT (not run there yet): int8 Q/DQ without zero points, no 4-bit types, opset 18",
            has_byte_activations=False,
            is_symmetric=True,
            fast_in=("tensorrt",),
            opset=18,
        ),
        "fp32": Form("the network without its quantizers, for comparison", is_quantized=False),
    }
)

VENDOR = Form(
    "toolchains that quantize by themselves: float, weights on the grid, ranges beside it",
    has_byte_activations=False,
    is_ranged=True,
    opset=18,
)
"""No row of FORMS: without its ranges such a graph is not the student (export/vendor)."""
