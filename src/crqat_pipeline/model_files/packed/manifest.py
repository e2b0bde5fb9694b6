"""What a packed file of a detector holds: every tensor's name, dtype and shape, and where it comes from and goes to.

Writer, reader and tests all go through `manifest`. Entries are in the order in which a reader must set them: a weight's
codes need its scale first.

Shape letters: G steps of a tensor, O output channels, I inputs of one output, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from crqat_pipeline.model_files.packed.header import FORMAT_VERSION
from crqat_pipeline.quantization.channel_affine import ChannelAffine, affine_of, store_affine
from crqat_pipeline.quantization.code_packing import pack_codes, packed_columns, unpack_codes
from crqat_pipeline.quantization.fake_quantizer import FakeQuantizer
from crqat_pipeline.quantization.layers import QuantConv2d, QuantLinear
from crqat_pipeline.quantization.parts import quantizers

Role = Literal[
    "codes_2bit",
    "codes_3bit",
    "codes_4bit",
    "codes_5bit",
    "codes_6bit",
    "codes_7bit",
    "codes_8bit",
    "weight_steps",
    "activation_steps",
    "batch_norm",
    "float",
]
_CODE_ROLES: dict[int, Role] = {
    2: "codes_2bit",
    3: "codes_3bit",
    4: "codes_4bit",
    5: "codes_5bit",
    6: "codes_6bit",
    7: "codes_7bit",
    8: "codes_8bit",
}


@dataclass(frozen=True)
class PackedEntry:
    """One tensor of the file. shape: None where only a calibrated quantizer knows (steps per head).

    get: the tensor to write, from the detector. set: put a tensor that was read back into the detector.
    num_weights: how many weights the codes stand for, 0 for other roles. code_range: lowest and highest integer that
    may be stored, None for floats. num_columns: codes in a row. packed_bits: bits that each takes, 0 where a code has
    a byte of its own. largest_code: of a step, the farthest that a code can be from the zero point.
    """

    name: str
    role: Role
    dtype: torch.dtype
    shape: tuple[int | None, ...]
    get: Callable[[], Tensor]
    set: Callable[[Tensor], None]
    num_weights: int = 0
    code_range: tuple[int, int] | None = None
    num_columns: int = 0
    packed_bits: int = 0
    largest_code: int = 1


def manifest(detector: nn.Module, version: int = FORMAT_VERSION) -> dict[str, PackedEntry]:
    """Entries by name, for a prepared detector whose quantized parts are switched on (`set_quantized`).

    version: of the format.
    """
    return {entry.name: entry for entry in _entries(detector, version)}


def layer_facts(detector: nn.Module) -> dict[str, dict[str, int | None]]:
    """Bits, lowest and highest code, and axis of the steps, by name of the quantizers that are on."""
    facts = {}
    for name, quantizer in quantizers(detector):
        grid = quantizer.grid
        if quantizer.is_on:
            axis = quantizer.settings.axis
            facts[name] = {"bits": grid.bits, "low": grid.quant_min, "high": grid.quant_max, "axis": axis}
    return facts


def version_of(detector: nn.Module) -> int:
    """The oldest version of the format that stores this detector without waste."""
    weights = [m.weight_quantizer for m in detector.modules() if isinstance(m, QuantConv2d | QuantLinear)]
    bits = {quantizer.grid.bits for quantizer in weights if quantizer is not None and quantizer.is_on}
    return 1 if bits <= {4, 8} else FORMAT_VERSION


def _entries(detector: nn.Module, version: int) -> Iterator[PackedEntry]:
    covered: set[str] = set()
    for name, module in detector.named_modules():
        if isinstance(module, FakeQuantizer):
            covered.update(f"{name}.{key}" for key in module.state_dict())
            if module.is_on:
                yield from _step_entries(name, module)
        elif isinstance(module, nn.BatchNorm2d):
            covered.update(f"{name}.{key}" for key in ("running_mean", "running_var", "num_batches_tracked"))
            covered.update((f"{name}.weight", f"{name}.bias"))
            yield from _batch_norm_entries(name, module)
    for name, module in detector.named_modules():
        if isinstance(module, QuantConv2d | QuantLinear):
            quantizer = module.weight_quantizer
            if quantizer is not None and quantizer.is_on:
                covered.add(f"{name}.weight")
                yield _code_entry(name, module.weight, quantizer, version)
    for name, tensor in detector.state_dict(keep_vars=True).items():
        if name not in covered:
            yield _float_entry(name, tensor)


def _step_entries(name: str, quantizer: FakeQuantizer) -> Iterator[PackedEntry]:
    role: Role = "weight_steps" if name.endswith("weight_quantizer") else "activation_steps"
    shape = (quantizer.num_steps,)

    def set_scale(scale_G: Tensor) -> None:
        quantizer.set_qparams(scale_G, torch.zeros_like(scale_G))

    grid = quantizer.grid
    largest = grid.quant_max if grid.is_symmetric else grid.quant_max - grid.quant_min
    yield PackedEntry(
        f"{name}.scale", role, torch.float32, shape, lambda: quantizer.scale, set_scale, largest_code=largest
    )
    if quantizer.zero_point is not None:

        def get_zero_point() -> Tensor:
            assert quantizer.zero_point is not None
            return quantizer.zero_point.to(torch.uint8)

        def set_zero_point(zero_point_G: Tensor) -> None:
            quantizer.set_qparams(quantizer.scale, zero_point_G.float())

        code_range = (grid.quant_min, grid.quant_max)
        yield PackedEntry(
            f"{name}.zero_point", role, torch.uint8, shape, get_zero_point, set_zero_point, code_range=code_range
        )


def _batch_norm_entries(name: str, norm: nn.BatchNorm2d) -> Iterator[PackedEntry]:
    shape = (norm.num_features,)

    def set_gain(gain_C: Tensor) -> None:
        store_affine(norm, ChannelAffine(gain_C, torch.zeros_like(gain_C)))

    def set_shift(shift_C: Tensor) -> None:
        store_affine(norm, ChannelAffine(norm.weight.detach(), shift_C))

    yield PackedEntry(f"{name}.gain", "batch_norm", torch.float32, shape, lambda: affine_of(norm).gain_C, set_gain)
    yield PackedEntry(f"{name}.shift", "batch_norm", torch.float32, shape, lambda: affine_of(norm).shift_C, set_shift)


def _code_entry(name: str, weight: Tensor, quantizer: FakeQuantizer, version: int) -> PackedEntry:
    rows, columns = weight.shape[0], weight[0].numel()
    is_signed, bits = quantizer.grid.is_symmetric, quantizer.grid.bits
    byte_type = torch.int8 if is_signed else torch.uint8
    packed_bits = bits if version > 1 else 4 if bits <= 4 else 8
    is_packed = packed_bits < 8

    def get() -> Tensor:
        codes_OI = quantizer.codes(weight.detach()).reshape(rows, columns).to(byte_type)
        return pack_codes(codes_OI, packed_bits) if is_packed else codes_OI

    @torch.no_grad()
    def set_codes(stored: Tensor) -> None:
        codes_OI = unpack_codes(stored, columns, packed_bits, is_signed) if is_packed else stored
        weight.copy_(quantizer.dequantize(codes_OI.reshape(weight.shape).float()))

    return PackedEntry(
        name=f"{name}.weight_codes",
        role=_CODE_ROLES[packed_bits],
        dtype=torch.uint8 if is_packed else byte_type,
        shape=(rows, packed_columns(columns, packed_bits) if is_packed else columns),
        get=get,
        set=set_codes,
        num_weights=weight.numel(),
        code_range=(quantizer.grid.quant_min, quantizer.grid.quant_max),
        num_columns=columns,
        packed_bits=packed_bits if is_packed else 0,
    )


def _float_entry(name: str, tensor: Tensor) -> PackedEntry:
    @torch.no_grad()
    def set_float(stored: Tensor) -> None:
        tensor.copy_(stored)

    return PackedEntry(name, "float", tensor.dtype, tuple(tensor.shape), lambda: tensor.detach(), set_float)
