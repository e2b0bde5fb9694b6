"""Codes of 2 to 8 bits, packed without a gap.

A row of the packed tensor holds a row of codes as one stream of bits, lowest bit first: code j takes bits j * b to
j * b + b - 1, bit i of the stream is bit i % 8 of byte i // 8, and the rest of the last byte is zero. With 4 bits that
is two codes per byte, the first in the low nibble (as ONNX INT4 stores them). Negative codes are in two's complement.

Shape letters: R rows, C columns.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_DTYPES = (torch.int8, torch.uint8)


def packed_columns(num_columns: int, bits: int) -> int:
    """Bytes of a row of num_columns codes."""
    return (num_columns * bits + 7) // 8


def pack_codes(codes_RC: Tensor, bits: int) -> Tensor:
    """(R, C) int8 or uint8 codes to (R, packed_columns(C, bits)) uint8.

    Raises ValueError for another shape or dtype, and for codes outside both [-2^(b-1), 2^(b-1) - 1] and [0, 2^b - 1].
    """
    _check_bits(bits)
    if codes_RC.ndim != 2 or codes_RC.dtype not in _DTYPES:
        raise ValueError(
            f"pack_codes takes a 2-D int8 or uint8 tensor; got {tuple(codes_RC.shape)} {codes_RC.dtype}. "
            "Reshape a weight to (output channels, -1) and cast it to torch.int8."
        )
    if codes_RC.numel():
        low, high = int(codes_RC.min()), int(codes_RC.max())
        half = 1 << (bits - 1)
        if low < -half or high > 2 * half - 1 or (low < 0 and high > half - 1):
            raise ValueError(
                f"{bits}-bit codes lie in [{-half}, {half - 1}] or [0, {2 * half - 1}]; got {low} to {high}. "
                "Pack wider codes with more bits."
            )
    bytes_RC1 = codes_RC.contiguous().view(torch.uint8).cpu().numpy()[:, :, None]
    stream = np.unpackbits(bytes_RC1, axis=2, bitorder="little")[:, :, :bits]
    stream_RS = stream.reshape(codes_RC.shape[0], codes_RC.shape[1] * bits)
    return torch.from_numpy(np.packbits(stream_RS, axis=1, bitorder="little"))


def unpack_codes(packed: Tensor, num_columns: int, bits: int, signed: bool) -> Tensor:
    """(R, num_columns) codes, int8 if signed and uint8 else. Raises ValueError if the columns do not fit the bytes."""
    _check_bits(bits)
    wanted = packed_columns(num_columns, bits)
    if packed.ndim != 2 or packed.dtype != torch.uint8 or packed.shape[1] != wanted:
        raise ValueError(
            f"{num_columns} columns of {bits} bits need (rows, {wanted}) uint8; got {tuple(packed.shape)} "
            f"{packed.dtype}. Use the column count that was packed."
        )
    rows = packed.shape[0]
    stream = np.unpackbits(packed.cpu().numpy(), axis=1, bitorder="little")[:, : num_columns * bits]
    bits_RCb = np.zeros((rows, num_columns, 8), np.uint8)
    bits_RCb[:, :, :bits] = stream.reshape(rows, num_columns, bits)
    if signed:
        bits_RCb[:, :, bits:] = bits_RCb[:, :, bits - 1 : bits]
    codes_RC = np.packbits(bits_RCb, axis=2, bitorder="little")[:, :, 0]
    return torch.from_numpy(codes_RC.view(np.int8) if signed else codes_RC)


def padding_is_zero(packed: Tensor, num_columns: int, bits: int) -> bool:
    """Whether the bits behind the last code of every row are zero."""
    used = (num_columns * bits) % 8
    return not used or not bool((packed[:, -1] >> used).any())


def _check_bits(bits: int) -> None:
    if not 2 <= bits <= 8:
        raise ValueError(f"Codes have 2 to 8 bits; got {bits}.")
