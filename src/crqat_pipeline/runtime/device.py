"""Which device to compute on."""

from __future__ import annotations

import os

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


def memory_bytes(device: torch.device) -> int:
    """All of a GPU's memory, or all of the machine's; beyond any use where the system does not say."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**62
