"""Layers whose weight and input pass through fake quantizers. Parameter names are those of the plain layer.

Shape letters: B images, C channels, H W pixels.
"""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor, nn

from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer


class QuantConv2d(nn.Conv2d):
    """A convolution of quantized input and weight. batch_norm: name of the BatchNorm that reads its output, if any.

    output_quantizer: pre-activation quantizer of a layer without BatchNorm. exchanged_bits: of the quantizers before a
    gate that stand for the input quantizer, which there is none of then.
    """

    weight_quantizer: FakeQuantizer | None
    input_quantizer: FakeQuantizer | None
    output_quantizer: FakeQuantizer | None
    batch_norm: str | None
    exchanged_bits: int | None

    def forward(self, input: Tensor) -> Tensor:
        x = input if self.input_quantizer is None else self.input_quantizer(input)
        weight = self.weight if self.weight_quantizer is None else self.weight_quantizer(self.weight)
        y: Tensor = self._conv_forward(x, weight, self.bias)
        if self.output_quantizer is not None:
            y = self.output_quantizer(y)
        return y


class QuantLinear(nn.Linear):
    """A linear layer of quantized input and weight; see QuantConv2d."""

    weight_quantizer: FakeQuantizer | None
    input_quantizer: FakeQuantizer | None
    output_quantizer: FakeQuantizer | None
    batch_norm: str | None
    exchanged_bits: int | None

    def forward(self, input: Tensor) -> Tensor:
        x = input if self.input_quantizer is None else self.input_quantizer(input)
        weight = self.weight if self.weight_quantizer is None else self.weight_quantizer(self.weight)
        y: Tensor = nn.functional.linear(x, weight, self.bias)
        if self.output_quantizer is not None:
            y = self.output_quantizer(y)
        return y


class QuantBatchNorm2d(nn.BatchNorm2d):
    """A BatchNorm whose output passes through a pre-activation quantizer."""

    output_quantizer: FakeQuantizer

    def forward(self, input: Tensor) -> Tensor:
        y: Tensor = self.output_quantizer(super().forward(input))
        return y


QuantLayer = QuantConv2d | QuantLinear
_Layer = TypeVar("_Layer", QuantConv2d, QuantLinear)


def quant_conv2d(conv: nn.Conv2d) -> QuantConv2d:
    """A QuantConv2d without quantizers yet that shares the parameters of `conv`."""
    layer = QuantConv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        conv.dilation,  # type: ignore[arg-type]
        conv.groups,
        conv.bias is not None,
        conv.padding_mode,
        device="meta",
    )
    return _sharing(layer, conv)


def quant_linear(linear: nn.Linear) -> QuantLinear:
    """A QuantLinear without quantizers yet that shares the parameters of `linear`."""
    layer = QuantLinear(linear.in_features, linear.out_features, linear.bias is not None, device="meta")
    return _sharing(layer, linear)


def quant_batch_norm(batch_norm: nn.BatchNorm2d, output_quantizer: FakeQuantizer) -> QuantBatchNorm2d:
    """A BatchNorm that shares the parameters and statistics of `batch_norm` and quantizes its output."""
    layer = QuantBatchNorm2d(
        batch_norm.num_features,
        batch_norm.eps,
        batch_norm.momentum,
        batch_norm.affine,
        batch_norm.track_running_stats,
        device="meta",
    )
    layer._buffers.update(batch_norm._buffers)
    layer._parameters.update(batch_norm._parameters)
    layer.output_quantizer = output_quantizer
    return layer.train(batch_norm.training)


def _sharing(layer: _Layer, plain: nn.Module) -> _Layer:
    layer._parameters.update(plain._parameters)
    layer.weight_quantizer = layer.input_quantizer = layer.output_quantizer = None
    layer.batch_norm = None
    layer.exchanged_bits = None
    return layer.train(plain.training)
