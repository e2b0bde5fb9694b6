"""Groups of quantizers that are worth switching on alone: parts, blocks of the network, kinds of tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from torch import nn

from crqat_pipeline.quantization.feeding_layers import feeding_layers
from crqat_pipeline.quantization.layers import QuantConv2d, QuantLinear
from crqat_pipeline.quantization.parts import part_of, quantizers
from crqat_pipeline.structures.quantization_contract import contract_of, product_operands_of

EVERYTHING = "everything"


@dataclass(frozen=True)
class Group:
    """quantizers: names. kind: whole, part, block, tensor (a kind of tensor), or "tensor of part"."""

    kind: str
    name: str
    quantizers: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """Where a quantizer is. layer: its module. follows_depthwise: its tensor comes out of a depthwise convolution."""

    name: str
    layer: nn.Module
    tensor: str
    follows_depthwise: bool

    @property
    def is_weight(self) -> bool:
        return self.tensor == "weight_quantizer"

    @property
    def operand_kind(self) -> str | None:
        """Of the product whose operand it is."""
        operands = product_operands_of(self.layer)
        return None if operands is None else operands.kind


TENSOR_KINDS: Mapping[str, Callable[[Place], bool]] = MappingProxyType(
    {
        "weights": lambda one: one.is_weight,
        "activations": lambda one: not one.is_weight,
        "depthwise weights": lambda one: one.is_weight and is_depthwise(one.layer),
        "pointwise weights": lambda one: one.is_weight and _is_pointwise(one.layer),
        "spatial weights": lambda one: one.is_weight and _is_spatial(one.layer),
        "linear weights": lambda one: one.is_weight and isinstance(one.layer, QuantLinear),
        "inputs after depthwise": lambda one: one.tensor == "input_quantizer" and one.follows_depthwise,
        "pre-activations": lambda one: one.tensor == "output_quantizer",
        "attention operands": lambda one: one.operand_kind == "attention",
        "similarity operands": lambda one: one.operand_kind == "similarity",
    }
)
"""Kind of tensor -> whether a quantizer is of it; spatial: kernels over 1 x 1 that are not depthwise."""


def groups_of(detector: nn.Module) -> list[Group]:
    """Groups of the quantizers that are on: everything first, then parts, blocks, kinds of tensor, these by part.

    A block is what the modules of a part are called where their names first differ (backbone.stage3). Empty groups are
    left out, and groups of the same quantizers as an earlier one.
    """
    names = [name for name, quantizer in quantizers(detector) if quantizer.is_on]
    found: dict[frozenset[str], Group] = {}
    for group in _candidates(detector, names):
        if group.quantizers:
            found.setdefault(frozenset(group.quantizers), group)
    return list(found.values())


def _candidates(detector: nn.Module, names: Sequence[str]) -> Iterator[Group]:
    yield Group("whole", EVERYTHING, tuple(names))
    parts = contract_of(detector).parts
    by_part = {part: [name for name in names if part_of(detector, name) == part] for part in parts}
    for part, own in by_part.items():
        yield Group("part", part, tuple(own))
    for prefixes in parts.values():
        for prefix in prefixes:
            for block, own in _blocks(names, prefix).items():
                yield Group("block", block, tuple(own))
    places = _places(detector, names)
    for kind, is_of in TENSOR_KINDS.items():
        yield Group("tensor", kind, tuple(one.name for one in places if is_of(one)))
    for part, own in by_part.items():
        for kind, is_of in TENSOR_KINDS.items():
            yield Group("tensor of part", f"{part} {kind}", tuple(p.name for p in places if p.name in own and is_of(p)))


def _blocks(names: Sequence[str], prefix: str) -> dict[str, list[str]]:
    """The quantizers below the prefix, by the first piece of their layers' names that is not the same for all."""
    start = f"{prefix}." if prefix else ""
    pieces = {name: name.removeprefix(start).split(".")[:-1] for name in names if name.startswith(start)}
    depth = 0
    while len({tuple(own[: depth + 1]) for own in pieces.values()}) == 1 and all(
        len(own) > depth + 1 for own in pieces.values()
    ):
        depth += 1
    blocks: dict[str, list[str]] = {}
    for name, own in pieces.items():
        blocks.setdefault(".".join([*filter(None, [prefix]), *own[: depth + 1]]), []).append(name)
    return blocks


def _places(detector: nn.Module, names: Sequence[str]) -> list[Place]:
    feeding = feeding_layers(detector)
    depthwise = {name for name, module in detector.named_modules() if is_depthwise(module)}
    places = []
    for name in names:
        layer, _, tensor = name.rpartition(".")
        follows = bool(feeding.get(layer, frozenset()) & depthwise)
        places.append(Place(name, detector.get_submodule(layer), tensor, follows))
    return places


def is_depthwise(module: nn.Module) -> bool:
    """A convolution each of whose filters reads one channel."""
    return isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1


def _is_pointwise(module: nn.Module) -> bool:
    return isinstance(module, QuantConv2d) and module.kernel_size == (1, 1) and not is_depthwise(module)


def _is_spatial(module: nn.Module) -> bool:
    return isinstance(module, QuantConv2d) and module.kernel_size != (1, 1) and not is_depthwise(module)
