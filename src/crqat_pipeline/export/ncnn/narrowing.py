"""A student as int8 of ncnn holds it: without pre-activation quantizers, 255 codes where there were 256."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import NamedTuple

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector
from crqat_pipeline.quantization.gate_exchange import operands_before_gates
from crqat_pipeline.quantization.grid import IntegerGrid
from crqat_pipeline.quantization.parts import quantizers

WIDEST_BITS = 8


class Narrowed(NamedTuple):
    """student: a copy. num_narrowed: its grids that lost their lowest code. num_left_out: pre-activation quantizers."""

    student: OpenVocabularyDetector
    num_narrowed: int
    num_left_out: int


class WithoutLowest(IntegerGrid):
    """Unsigned codes that begin at 1."""

    @property
    def quant_min(self) -> int:
        return 1


def narrowed(detector: OpenVocabularyDetector) -> Narrowed:
    """What ncnn computes of a student: int8 from -127 to 127 where a convolution begins, floating point between."""
    student = copy.deepcopy(detector)
    before_gates = operands_before_gates(student)
    num_narrowed = num_left_out = 0
    for name, quantizer in quantizers(student):
        kind, grid = name.rpartition(".")[2], quantizer.grid
        if kind == "output_quantizer" and quantizer.is_on:
            quantizer.is_on, num_left_out = False, num_left_out + 1
        elif (kind == "input_quantizer" or name in before_gates) and quantizer.is_on and grid.bits == WIDEST_BITS:
            less = replace(grid, narrow=True) if grid.is_symmetric else WithoutLowest(grid.bits, is_symmetric=False)
            quantizer.plan = replace(quantizer.plan, grid=less)
            num_narrowed += 1
    return Narrowed(student, num_narrowed, num_left_out)
