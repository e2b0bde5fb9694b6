"""Which device to compute on."""

from __future__ import annotations

import torch


def choose_device(name: str) -> torch.device:
    """ "auto" is the GPU where there is one. Raises ValueError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"A device is auto, cpu, cuda or cuda:<number>; got {name!r}.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"Device {name!r} needs a CUDA GPU, and none is available. Use device: auto or cpu.")
    return device
