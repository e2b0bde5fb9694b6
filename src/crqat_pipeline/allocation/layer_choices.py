"""What each layer may become, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from crqat_pipeline.allocation.latencies import Latencies, check_layers
from crqat_pipeline.allocation.spec import Menu
from crqat_pipeline.allocation.width_sensitivity import Sensitivities, uniform
from crqat_pipeline.quantization import QuantSpec, prepare
from crqat_pipeline.quantization.bit_widths import FLOAT_BITS, parameter_bytes, steps_of, stored_bytes
from crqat_pipeline.quantization.cost import on_meta
from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer
from crqat_pipeline.quantization.layers import QuantConv2d, QuantLinear
from crqat_pipeline.quantization.operation_counter import OperationCounter
from crqat_pipeline.quantization.parts import part_of
from crqat_pipeline.quantization.swap import kind_of
from crqat_pipeline.structures.quantization_contract import contract_of


@dataclass(frozen=True)
class Choice:
    """Widths of one layer; 32 stands for full precision. For a product both are those of its operands.

    stored: bytes. time: milliseconds by a table of measured latencies, 0 without one.
    """

    weight: int
    activation: int
    sensitivity: float
    bops: float
    stored: float
    time: float = 0.0

    @property
    def is_float(self) -> bool:
        return self.weight == self.activation == FLOAT_BITS


@dataclass(frozen=True)
class LayerChoices:
    """One layer or product of the detector. stored: bytes of weights, steps and bias together, in each choice."""

    name: str
    kind: str
    part: str
    macs: int
    is_edge: bool
    choices: tuple[Choice, ...]


def layer_choices(
    detector: nn.Module,
    spec: QuantSpec,
    menu: Menu,
    found: Sensitivities,
    image_size_px: int,
    num_prompts: int,
    latencies: Latencies | None = None,
) -> list[LayerChoices]:
    """Every layer that can be quantized, with its choices in the menu.

    Edge layers and the similarity product may also stay in full precision. Costs are exact, from shapes; times are
    those of the table. Raises ValueError for a table of other layers, or without a width of the menu.
    """
    subject = on_meta(detector)
    prepare(subject, uniform(spec, menu.bits[0]))
    counter = OperationCounter(subject)
    counter.count(image_size_px, num_prompts)
    edges = contract_of(detector).edge_layers
    layers = []
    for name, module in subject.named_modules():
        children = [child for child, other in module.named_children() if isinstance(other, FakeQuantizer)]
        if not children:
            continue
        kind, is_edge = kind_of(module), name in edges
        steps = sum(_step_bytes(module.get_submodule(child), counter, f"{name}.{child}") for child in children)
        options = _widths(module, kind, menu, is_edge)
        choices = [
            Choice(
                weight=weight,
                activation=activation,
                sensitivity=_moved(found, name, children, weight, activation),
                bops=float(counter.macs[name]) * weight * activation,
                stored=parameter_bytes(module, weight) + (0.0 if weight == activation == FLOAT_BITS else steps),
                time=latencies.of(name, weight, activation) if latencies else 0.0,
            )
            for weight, activation in options
        ]
        row = (name, kind, part_of(subject, name) or "-", counter.macs[name], is_edge)
        layers.append(LayerChoices(*row, tuple(choices)))
    if latencies:
        check_layers(latencies, frozenset(layer.name for layer in layers))
    return layers


def _widths(module: nn.Module, kind: str, menu: Menu, is_edge: bool) -> Iterator[tuple[int, int]]:
    if isinstance(module, QuantConv2d | QuantLinear):
        yield from ((weight, activation) for weight in menu.weight for activation in menu.activation)
    else:
        yield from ((bits, bits) for bits in menu.operands)
    if is_edge or kind == "similarity product":
        yield FLOAT_BITS, FLOAT_BITS


def _moved(found: Sensitivities, name: str, children: Sequence[str], weight: int, activation: int) -> float:
    """Movements of the layer's quantizers, added; none for full precision."""
    widths: Mapping[str, int] = {"weight_quantizer": weight}
    return sum(
        found[f"{name}.{child}", width] for child in children if (width := widths.get(child, activation)) != FLOAT_BITS
    )


def _step_bytes(quantizer: nn.Module, counter: OperationCounter, name: str) -> float:
    assert isinstance(quantizer, FakeQuantizer)
    return stored_bytes(quantizer, steps_of(quantizer, counter.input_shape.get(name)))
