"""From a QuantSpec to the plan of each kind of quantizer."""

from __future__ import annotations

from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer, QuantizerPlan
from crqat_pipeline.quantization.granularity import count_steps
from crqat_pipeline.quantization.grid import IntegerGrid
from crqat_pipeline.quantization.kernels.settings import KernelSettings
from crqat_pipeline.quantization.quantizer_table import FAKE_QUANTIZERS
from crqat_pipeline.quantization.spec import QuantSpec

ACTIVATION_RANGE_MOMENTUM = 0.01


def weight_quantizer(spec: QuantSpec, num_channels: int, layer: str) -> FakeQuantizer | None:
    """For a weight whose axis 0 has num_channels output channels; None in full precision."""
    if spec.weight_bits is None:
        return None
    grid = IntegerGrid(spec.weight_bits, spec.weight_symmetric, spec.narrow_weight_range)
    num_steps = count_steps(spec.weight_granularity, num_channels, layer)
    axis = None if spec.weight_granularity == "T" else 0
    plan = _plan(spec, grid, axis, num_steps, spec.weight_initialization, range_momentum=1.0, of_batch=False)
    return FAKE_QUANTIZERS[spec.weight_quantizer](plan)


def activation_quantizer(spec: QuantSpec, num_channels: int, axis: int, layer: str) -> FakeQuantizer | None:
    """For a layer's input with num_channels channels along `axis`; None in full precision."""
    if spec.activation_bits is None:
        return None
    grid = IntegerGrid(spec.activation_bits, spec.activation_symmetric)
    num_steps = count_steps(spec.activation_granularity, num_channels, layer)
    used_axis = None if spec.activation_granularity == "T" else axis
    plan = _plan(spec, grid, used_axis, num_steps, spec.activation_initialization, ACTIVATION_RANGE_MOMENTUM)
    return FAKE_QUANTIZERS[spec.activation_quantizer](plan)


def operand_quantizer(spec: QuantSpec, bits: int, head_axis: int | None) -> FakeQuantizer:
    """For an operand of a product; the number of heads is known when data arrives."""
    is_per_tensor = head_axis is None or spec.attention_granularity == "T"
    plan = _plan(
        spec,
        IntegerGrid(bits, spec.attention_symmetric),
        None if is_per_tensor else head_axis,
        1 if is_per_tensor else None,
        spec.activation_initialization,
        ACTIVATION_RANGE_MOMENTUM,
    )
    return FAKE_QUANTIZERS[spec.activation_quantizer](plan)


def pre_activation_quantizer(spec: QuantSpec) -> FakeQuantizer | None:
    """For the output of a quantized layer, before its activation function; None if the spec has none."""
    if spec.pre_activation_bits is None:
        return None
    grid = IntegerGrid(spec.pre_activation_bits, is_symmetric=False)
    plan = _plan(spec, grid, None, 1, spec.activation_initialization, ACTIVATION_RANGE_MOMENTUM)
    return FAKE_QUANTIZERS[spec.activation_quantizer](plan)


def _plan(
    spec: QuantSpec,
    grid: IntegerGrid,
    axis: int | None,
    num_steps: int | None,
    initialization: str,
    range_momentum: float,
    of_batch: bool = True,
) -> QuantizerPlan:
    return QuantizerPlan(
        grid=grid,
        settings=KernelSettings(
            quant_min=grid.quant_min,
            quant_max=grid.quant_max,
            axis=axis,
            is_log=spec.scale_parametrization == "log",
            mask=spec.gradient_mask,
            step_gradient="lsq",
            gradient_scale=spec.gradient_scale,
            of_batch=of_batch,
        ),
        num_steps=num_steps,
        kernel=spec.kernel,
        initialization=initialization,
        percentile=spec.percentile,
        range_momentum=range_momentum,
    )
