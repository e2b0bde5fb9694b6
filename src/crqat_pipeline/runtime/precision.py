"""Which numbers a sum is taken in."""

from __future__ import annotations

import torch
from torch import Tensor


def widened(values: Tensor) -> Tensor:
    """Half precision as float32; float32 and double stay what they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
