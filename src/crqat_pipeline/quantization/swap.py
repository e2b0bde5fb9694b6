"""Replace one module of a detector by its quantized form."""

from __future__ import annotations

import torch
from torch import nn

from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer
from crqat_pipeline.quantization.layers import (
    QuantConv2d,
    QuantLayer,
    QuantLinear,
    quant_batch_norm,
    quant_conv2d,
    quant_linear,
)
from crqat_pipeline.quantization.quantizer_plans import (
    activation_quantizer,
    operand_quantizer,
    pre_activation_quantizer,
    weight_quantizer,
)
from crqat_pipeline.quantization.spec import QuantSpec
from crqat_pipeline.structures.quantization_contract import ProductOperands, product_operands_of

_KINDS: dict[type[nn.Module], str] = {nn.Conv2d: "convolution", nn.Linear: "linear"}
_UNSUPPORTED = (nn.modules.conv._ConvNd, nn.Linear, nn.Bilinear, nn.RNNBase, nn.MultiheadAttention)


def kind_of(module: nn.Module) -> str:
    """What a module is to quantization; "" for one that holds nothing to quantize."""
    operands = product_operands_of(module)
    if operands is not None:
        return f"{operands.kind} product"
    if type(module) in _KINDS:
        return _KINDS[type(module)]
    if isinstance(module, QuantConv2d | QuantLinear):
        return "convolution" if isinstance(module, QuantConv2d) else "linear"
    return f"{type(module).__name__} (not supported)" if isinstance(module, _UNSUPPORTED) else ""


def swap(
    detector: nn.Module, name: str, module: nn.Module, spec: QuantSpec, batch_norm: nn.BatchNorm2d | None
) -> str | None:
    """Swap the module in place. Returns bits and steps in words, or None if the spec leaves it as it is."""
    operands = product_operands_of(module)
    if operands is not None:
        return _swap_operands(detector, module, operands, spec)
    if spec.weight_bits is None and spec.activation_bits is None:
        return None
    if type(module) is nn.Conv2d:
        layer: QuantLayer = quant_conv2d(module)
        channels, axis = module.in_channels, 1
    elif type(module) is nn.Linear:
        layer = quant_linear(module)
        channels, axis = module.in_features, -1
    else:
        return None
    device = module.weight.device
    layer.weight_quantizer = _at(weight_quantizer(spec, module.weight.shape[0], name), device)
    layer.input_quantizer = _at(activation_quantizer(spec, channels, axis, name), device)
    output_quantizer = _at(pre_activation_quantizer(spec), device)
    _replace(detector, module, layer)
    if batch_norm is None:
        layer.output_quantizer = output_quantizer
    else:
        layer.batch_norm = next(n for n, other in detector.named_modules() if other is batch_norm)
        if output_quantizer is not None:
            _replace(detector, batch_norm, quant_batch_norm(batch_norm, output_quantizer))
    return _in_words(layer)


def _swap_operands(detector: nn.Module, product: nn.Module, operands: ProductOperands, spec: QuantSpec) -> str | None:
    bits = spec.attention_bits if operands.kind == "attention" else spec.similarity_bits
    if bits is None:
        return None
    device = next(detector.parameters()).device
    for child, head_axis in operands.head_axis.items():
        setattr(product, child, operand_quantizer(spec, bits, head_axis).to(device))
    return f"{', '.join(operands.head_axis)}: {bits} bits"


def _replace(detector: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put `new` wherever `old` is a child."""
    for parent in list(detector.modules()):
        for child_name, child in parent._modules.items():
            if child is old:
                parent._modules[child_name] = new


def _at(quantizer: FakeQuantizer | None, device: torch.device) -> FakeQuantizer | None:
    return None if quantizer is None else quantizer.to(device)


def _in_words(layer: QuantLayer) -> str:
    texts = []
    for label, quantizer in (("w", layer.weight_quantizer), ("a", layer.input_quantizer)):
        if quantizer is not None:
            texts.append(f"{label}{quantizer.grid.bits} {quantizer.num_steps} step(s)")
    if layer.batch_norm:
        texts.append(f"folds {layer.batch_norm}")
    return ", ".join(texts)
