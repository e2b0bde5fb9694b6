"""What a detector costs: size in MB (2^20 bytes), MACs and bit operations, from shapes alone.

BOPs = sum over products of MACs * bits of one operand * bits of the other; a full-precision operand has 32 bits
(CR-QAT paper, "Size and bit operations": the text encoder is left out, BatchNorm and other element-wise work too).
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from crqat_pipeline.quantization.bit_widths import operand_bits, steps_of, stored_bytes
from crqat_pipeline.quantization.cost_report import CostReport, OperationRow, gather
from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer
from crqat_pipeline.quantization.operation_counter import OperationCounter
from crqat_pipeline.quantization.parts import part_of, quantizers
from crqat_pipeline.quantization.prepare import prepare
from crqat_pipeline.quantization.spec import QuantSpec
from crqat_pipeline.quantization.swap import kind_of
from crqat_pipeline.structures.quantization_contract import contract_of


def cost(detector: nn.Module, spec: QuantSpec | None, image_size_px: int, num_prompts: int) -> CostReport:
    """Cost of one image_size_px x image_size_px image and num_prompts prompts; the detector is not changed.

    It may live on the meta device. A prepared detector is counted with its own quantizers; any other one as `prepare`
    would make it, or in full precision if spec is None. Raises ValueError for a size that the detector refuses.
    """
    _check(detector, image_size_px, num_prompts)
    subject = on_meta(detector)
    if spec is not None and not any(True for _ in quantizers(subject)):
        prepare(subject, spec)
    counter = OperationCounter(subject)
    counter.count(image_size_px, num_prompts)
    rows, size_bytes, num_parameters = [], 0.0, 0
    for name, module in subject.named_modules():
        is_quantizer = isinstance(module, FakeQuantizer)
        steps = steps_of(module, counter.input_shape.get(name)) if isinstance(module, FakeQuantizer) else None
        stored = stored_bytes(module, steps)
        size_bytes += stored
        if is_quantizer:
            continue
        num_parameters += sum(parameter.numel() for parameter in module.parameters(recurse=False))
        if counter.macs[name]:
            first, second = operand_bits(module)
            rows.append(
                OperationRow(
                    name=name,
                    kind=kind_of(module) or "other product",
                    part=part_of(subject, name) or "-",
                    bits=(first, second),
                    macs=counter.macs[name],
                    activation_bytes=counter.elements_read[name] * second / 8,
                    stored_bytes=stored,
                )
            )
    return gather(rows, size_bytes, num_parameters, image_size_px, num_prompts)


def on_meta(detector: nn.Module) -> nn.Module:
    """A copy of the detector without any values: its parameters and buffers are on the meta device."""
    memo: dict[int, torch.Tensor] = {}
    for parameter in detector.parameters():
        memo[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"), parameter.requires_grad)
    for buffer in detector.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(detector, memo)


def _check(detector: nn.Module, image_size_px: int, num_prompts: int) -> None:
    divisor = contract_of(detector).size_divisor
    if image_size_px < 1 or image_size_px % divisor:
        below = max(image_size_px // divisor, 1) * divisor
        raise ValueError(f"image_size_px must be a multiple of {divisor}; got {image_size_px}. Use {below}.")
    if num_prompts < 1:
        raise ValueError(f"num_prompts must be at least 1; got {num_prompts}. COCO has 80, LVIS 1203.")
