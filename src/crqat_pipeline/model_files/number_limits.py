"""How large the numbers of a detector can be: finite ones beyond it were damaged before the file was signed.

Detectors are published and run in half precision, which ends at 65,504. The limits leave a factor of a thousand and
more: nobody is refused for a network that is odd, and float32 does not overflow over its layers at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

LARGEST_PARAMETER = 1e8
LARGEST_ACTIVATION = 1e10
LARGEST_GAIN = 1e12
"""Of a BatchNorm as one gain and one shift: a parameter over the root of a variance that may be nearly zero."""
UNIT_TOLERANCE = 0.01
"""Of the length of a row that is said to be 1: rows of published files are half precision."""
SHORTEST_ROW, LONGEST_ROW = 1e-3, 1e4
"""Of an embedding that was not normalized; CLIP's have a length of about 10."""
LIMITS = MappingProxyType(
    {
        "running_mean": (-LARGEST_ACTIVATION, LARGEST_ACTIVATION),
        "running_var": (0.0, LARGEST_ACTIVATION**2),
        "num_batches_tracked": (0.0, 1e15),
        "step_G": (-1e3, LARGEST_ACTIVATION),
    }
)
"""Last word of a tensor's name -> smallest and largest number; all others are parameters."""


def check_limits(tensors: Mapping[str, Tensor]) -> None:
    """Raises ValueError for the first tensor of a state dict with a number outside its limits."""
    for name, tensor in tensors.items():
        key = name.rpartition(".")[2]
        if tensor.is_floating_point() or key in LIMITS:
            check_range(name, tensor, *LIMITS.get(key, (-LARGEST_PARAMETER, LARGEST_PARAMETER)))


def check_range(name: str, tensor: Tensor, low: float, high: float) -> None:
    """Raises ValueError for a number outside [low, high]."""
    if not tensor.numel() or tensor.dtype == torch.bool:
        return
    least, most = float(tensor.min()), float(tensor.max())
    if not (low <= least and most <= high):
        raise ValueError(
            f"Numbers of tensor {name!r} lie within {low:.6g} and {high:.6g}; it has {least:.3g} to {most:.3g}. Take "
            "an earlier checkpoint, or make the file again."
        )


def check_lengths(name: str, embeddings_KD: Tensor, prompts: tuple[str, ...], is_normalized: bool) -> None:
    """Raises ValueError for a row whose length is not what the file says. Shape letters: K prompts, D embedding."""
    low, high = (1 - UNIT_TOLERANCE, 1 + UNIT_TOLERANCE) if is_normalized else (SHORTEST_ROW, LONGEST_ROW)
    lengths_K = embeddings_KD.double().norm(dim=1)
    wrong = ((lengths_K < low) | (lengths_K > high)).nonzero()
    if len(wrong):
        row = int(wrong[0])
        rule = "Normalized embeddings have length 1" if is_normalized else f"Embeddings are {low:g} to {high:g} long"
        raise ValueError(
            f"{rule}; that of {prompts[row : row + 1]} in {name!r} has {float(lengths_K[row]):.3g} ({len(wrong)} of "
            f"{len(lengths_K)} rows). Make the text bank again."
        )
