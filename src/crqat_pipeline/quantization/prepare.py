"""Swap the layers of a detector for quantized ones, in place, with every quantizer off."""

from __future__ import annotations

from torch import nn

from crqat_pipeline.quantization.full_precision import check_patterns, kept_patterns
from crqat_pipeline.quantization.gate_exchange import check_exchange, exchange, gated_blocks
from crqat_pipeline.quantization.layer_widths import layer_specs
from crqat_pipeline.quantization.parts import part_of, quantizers
from crqat_pipeline.quantization.shape_trace import followers
from crqat_pipeline.quantization.spec import QuantSpec
from crqat_pipeline.quantization.summary import LayerRow, PrepareSummary
from crqat_pipeline.quantization.swap import kind_of, swap
from crqat_pipeline.structures.quantization_contract import check_contract, contract_of


def prepare(detector: nn.Module, spec: QuantSpec) -> PrepareSummary:
    """Give every convolution, linear and attention product of the detector's parts its quantizers.

    `detector` is any model with a `quantization_contract` (structures.quantization_contract). All quantizers are off
    afterwards, so that its output stays bit-equal. Parameters keep their names and identity, so that optimizers and
    state dicts stay valid. Raises ValueError for a detector that is prepared already, for a missing or wrong contract,
    for patterns and width rules that match nothing, for groups that do not divide the channels of a layer and for gates
    to exchange where there are none.
    """
    if any(True for _ in quantizers(detector)):
        raise ValueError("This detector is prepared already; build a fresh one, then call prepare once.")
    check_contract(contract_of(detector), type(detector).__name__, [name for name, _ in detector.named_modules()])
    candidates = {name: module for name, module in detector.named_modules() if kind_of(module)}
    check_patterns(kept_patterns(detector, spec), tuple(candidates))
    specs = layer_specs(detector, spec, candidates)
    gated = gated_blocks(detector)
    check_exchange(detector, spec, gated)
    batch_norms = followers(detector)
    rows = []
    for name, module in candidates.items():
        own = specs[name]
        reason = own if isinstance(own, str) else None
        swapped = None if isinstance(own, str) else swap(detector, name, module, own, batch_norms.get(module))
        if swapped and spec.gate_exchange and name in gated:
            assert isinstance(own, QuantSpec)
            swapped += exchange(detector.get_submodule(name), gated[name], own)
        if swapped is None:
            row = (name, kind_of(module), part_of(detector, name) or "-", "full precision")
            rows.append(LayerRow(*row, reason or "its bits are none, or its type is not supported"))
        else:
            rows.append(LayerRow(name, kind_of(module), part_of(detector, name) or "-", "quantized", swapped))
    return PrepareSummary(spec.notation, tuple(rows))
