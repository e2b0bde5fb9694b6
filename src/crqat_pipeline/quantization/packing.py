"""Two 4-bit codes in one byte.

Row r of the packed tensor holds row r of the codes: column 2j in the low four bits of byte j, column 2j+1 in the high
ones; an odd row ends with a zero nibble. Negative codes are stored in two's complement (as ONNX INT4 does).

Shape letters: R rows, C columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

_DTYPES = (torch.int8, torch.uint8)


def pack_int4(codes_RC: Tensor) -> Tensor:
    """(R, C) int8 codes in [-8, 7] or [0, 15] to (R, ceil(C/2)) uint8. Raises ValueError for anything else."""
    if codes_RC.ndim != 2 or codes_RC.dtype not in _DTYPES:
        raise ValueError(
            f"pack_int4 takes a 2-D int8 tensor; got {tuple(codes_RC.shape)} {codes_RC.dtype}. "
            "Reshape a weight to (output channels, -1) and cast it to torch.int8."
        )
    if codes_RC.numel():
        low, high = int(codes_RC.min()), int(codes_RC.max())
        if low < -8 or high > 15 or (low < 0 and high > 7):
            raise ValueError(
                f"4-bit codes lie in [-8, 7] or [0, 15]; got {low} to {high}. Keep wider codes as int8 or uint8."
            )
    nibbles_RC = codes_RC.to(torch.int8).view(torch.uint8) & 0xF
    if nibbles_RC.shape[1] % 2:
        nibbles_RC = torch.nn.functional.pad(nibbles_RC, (0, 1))
    return nibbles_RC[:, 0::2] | (nibbles_RC[:, 1::2] << 4)


def unpack_int4(packed: Tensor, num_columns: int, signed: bool) -> Tensor:
    """(R, num_columns) int8 codes of a packed tensor. Raises ValueError if the columns do not fit the bytes."""
    if packed.ndim != 2 or packed.dtype != torch.uint8 or packed.shape[1] != (num_columns + 1) // 2:
        raise ValueError(
            f"{num_columns} columns need (rows, {(num_columns + 1) // 2}) uint8; got {tuple(packed.shape)} "
            f"{packed.dtype}. Use the column count that was packed."
        )
    nibbles_RC = torch.stack([packed & 0xF, packed >> 4], dim=2).flatten(1)[:, :num_columns].to(torch.int8)
    return torch.where(nibbles_RC > 7, nibbles_RC - 16, nibbles_RC) if signed else nibbles_RC
