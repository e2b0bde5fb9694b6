"""The JSON header of a packed file, and the checksum that covers header and tensors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor

FORMAT_NAME = "crqat-packed-int4"
FORMAT_VERSION = 1
HEADER_KEY = "crqat"
CLIP_CONVENTION = (
    "code = clamp(round_half_even(x / scale) + zero_point, low, high); value = (code - zero_point) * scale"
)


def content_sha256(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> str:
    """Over the header (without its own checksum) and every tensor's name, dtype, shape and bytes, by name."""
    digest = hashlib.sha256(as_json({key: value for key, value in facts.items() if key != "sha256"}).encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def as_json(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, sort_keys=True, ensure_ascii=False)
