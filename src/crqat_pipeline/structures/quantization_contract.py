"""What quantization needs to know of a model: any nn.Module can say it, a detector says it by its class.

Shape letters: B images, 3 RGB, H W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

CONTRACT_ATTRIBUTE = "quantization_contract"
OPERANDS_ATTRIBUTE = "product_operands"
GATED_ATTRIBUTE = "gated_input"
ExampleInputs = Callable[[int, int, int], tuple[Tensor, ...]]


@dataclass(frozen=True)
class ProductOperands:
    """Operands of a product of two activations, as the attribute `product_operands` of the module that multiplies.

    head_axis: name of an nn.Identity child that the operand passes through -> axis of its heads, None without heads.
    kind: "attention" takes the attention bits; "similarity" (regions by texts) stays in full precision by default.
    """

    head_axis: Mapping[str, int | None]
    kind: Literal["attention", "similarity"] = "attention"


@dataclass(frozen=True)
class GatedInput:
    """Maps that a layer reads side by side, some of them scaled by a gate: attribute `gated_input` of their block.

    layer: name of that layer below the block. operands: names of nn.Identity children, below the block too, that the
    maps pass through before they are gated; each takes a quantizer where QuantSpec.gate_exchange is on.
    """

    layer: str
    operands: tuple[str, ...]


def images_only(num_images: int, image_size_px: int, num_prompts: int) -> tuple[Tensor, ...]:
    """Inputs of a model that takes images (B, 3, H, W) and nothing else, on the meta device."""
    return (torch.empty(num_images, 3, image_size_px, image_size_px, device="meta"),)


@dataclass(frozen=True)
class QuantizationContract:
    """The attribute `quantization_contract` of a model that is to be quantized.

    parts: part name -> prefixes of its modules' names, in the order of the curriculum; "" stands for all modules.
    edge_layers: names of the layers that stay in full precision by default (first and last ones).
    full_precision: name patterns (fnmatch) that stay in full precision where QuantSpec.keep_full_precision names none.
    size_divisor: sides of input images are multiples of it, in pixels.
    example_inputs: (images, side in pixels, prompts) -> inputs of a forward pass on the meta device. The model must run
    there: cost, and the pairs of convolution and BatchNorm, are read off such a pass.
    """

    parts: Mapping[str, tuple[str, ...]]
    edge_layers: tuple[str, ...] = ()
    full_precision: tuple[str, ...] = ()
    size_divisor: int = 1
    example_inputs: ExampleInputs = field(default=images_only)


def contract_of(model: object) -> QuantizationContract:
    """The model's contract. Raises ValueError that says what is missing, for a model without one."""
    contract = getattr(model, CONTRACT_ATTRIBUTE, None)
    if not isinstance(contract, QuantizationContract):
        found = "nothing" if contract is None else type(contract).__name__
        raise ValueError(
            f"A model says what of it is quantized by its attribute {CONTRACT_ATTRIBUTE}, a QuantizationContract; "
            f"{type(model).__name__} has {found} there. Set it, such as model.{CONTRACT_ATTRIBUTE} = "
            "QuantizationContract(parts={'all': ('',)}); docs/how_to/quantize_any_model.md says what it holds."
        )
    return contract


def check_contract(contract: QuantizationContract, model_name: str, module_names: Collection[str]) -> None:
    """Raises ValueError for a contract that names modules which the model does not have, or no part."""
    names = {"", *module_names}
    if not contract.parts:
        raise ValueError(f"The contract of {model_name} names no part. Give at least one, such as {{'all': ('',)}}.")
    unknown = [prefix for prefixes in contract.parts.values() for prefix in prefixes if prefix not in names]
    unknown += [edge for edge in contract.edge_layers if edge not in names]
    if any(isinstance(prefixes, str) for prefixes in contract.parts.values()):
        raise ValueError(f"Each part of {model_name} is a tuple of prefixes; got a text. Write ('backbone',).")
    if unknown:
        raise ValueError(
            f"Parts and edge layers name modules; {model_name} has no {', '.join(map(repr, unknown[:3]))}. "
            f"Its modules begin with {', '.join(sorted({name.split('.')[0] for name in names if name})[:8])}."
        )
    if contract.size_divisor < 1:
        raise ValueError(
            f"size_divisor is at least 1 pixel; the contract of {model_name} says {contract.size_divisor}."
        )


def product_operands_of(module: object) -> ProductOperands | None:
    """The operands that a module declares; None for one that multiplies no two activations."""
    operands = getattr(module, OPERANDS_ATTRIBUTE, None)
    return operands if isinstance(operands, ProductOperands) else None


def gated_input_of(module: object) -> GatedInput | None:
    """The gated input that a module declares; None for one that gates nothing."""
    gated = getattr(module, GATED_ATTRIBUTE, None)
    return gated if isinstance(gated, GatedInput) else None
